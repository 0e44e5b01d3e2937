// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/expfmt"
	shoal "github.com/shoal-metrics/shoal/core"
)

type counter = atomic.Int64

// live lets the processes go on amid hostile contents: requests, flushes, deletions,
// synchronous calls, housekeeping.
func (s *session) live(d rng) error {
	begin := time.Now()
	s.count(1 + d.IntN(2))
	s.set()
	for _, a := range s.apps {
		a.scratch.WithLabelValues(d.word()).Inc()
		switch d.IntN(12) {
		case 0:
			a.scratch.Reset()
		case 1:
			a.scratch.DeletePartialMatch(shoal.Labels{"x": d.word()})
		}
	}
	if err := s.late("a request never waits", time.Since(begin), requestTime); err != nil {
		return err
	}
	var calls sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	call := func(promise string, f func(ctx context.Context)) {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
			defer cancel()
			begin := time.Now()
			f(ctx)
			err := s.late(promise, time.Since(begin), flushTimeout+slack)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	for _, a := range s.apps {
		if d.one(2) {
			continue // the page's own flush has to do
		}
		call("Flush ends with its context", func(ctx context.Context) { _ = a.reg.Flush(ctx) })
	}
	if d.one(6) {
		call("AddSync ends with its context", func(ctx context.Context) { _, _ = s.apps[0].scratch.WithLabelValues("s").AddSync(ctx, 1) })
	}
	if d.one(6) {
		call("Instances ends with its context", func(ctx context.Context) { _, _ = s.reader.Instances(ctx) })
	}
	if d.one(6) {
		call("housekeeping ends with its context", func(ctx context.Context) { _ = s.store.Housekeep(ctx, 30*24*time.Hour, 0) })
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return errFailed
		}
	}
	return nil
}

// show reads the page of each process: whole and true, or a 503 in time.
func (s *session) show(d rng) error {
	var reads sync.WaitGroup
	first := d.IntN(3)
	regs := []*shoal.Registry{s.apps[0].reg, s.apps[1].reg, s.reader}
	errs := make([]error, len(regs))
	for i, reg := range regs {
		format := formats[(first+i)%3]
		reads.Go(func() {
			p, err := read(reg, format, pageTimeout)
			switch {
			case err != nil:
				errs[i] = s.fails("a page is valid", "page %d: %v", i, err)
			case p.samples == nil:
				s.answered[1].Add(1)
				errs[i] = s.late("a page comes in its time", p.took, pageTimeout+slack)
			default:
				s.answered[0].Add(1)
				if errs[i] = s.late("a page comes in its time", p.took, pageTimeout+slack); errs[i] == nil {
					errs[i] = s.untouched(p, format, fmt.Sprint("page ", i), i < 2, s.acked, s.since)
				}
			}
		})
	}
	reads.Wait()
	for _, err := range errs {
		if err != nil {
			return errFailed
		}
	}
	return nil
}

// untouched checks the families that nobody has written to but shoal: so many events at
// least, and at most, since the base. A page that is whole has them even if the list of
// families lost them: a process that writes sees to that, or shows no page.
func (s *session) untouched(p *page, format expfmt.Format, who string, whole bool, least, most float64) error {
	for _, sm := range summed {
		if s.attack.touched[sm.family] || s.unsure[sm.family] || s.lost[sm.family] {
			continue
		}
		got, shown := p.samples[nameIn(format, sm.series)]
		base := s.base[sm.series]
		switch {
		case !shown && (!whole && s.attack.touched["families"] || s.hidden(sm.family)):
		case !shown:
			return s.fails("what nobody touched is exact", "%s lacks %s; it said %s", who, sm.series, s.said())
		case got < base+least*sm.each || got > base+most*sm.each:
			return s.fails("what nobody touched is exact", "%s: %s is %v, want %v to %v", who, sm.series, got, base+least*sm.each, base+most*sm.each)
		}
	}
	return nil
}

// hidden says whether a hostile family may have taken the name of one's samples.
func (s *session) hidden(family string) bool {
	for name := range s.attack.touched {
		if strings.HasPrefix(name, family) || strings.HasPrefix(family, name) {
			return true
		}
	}
	return false
}

// nameIn is how a format writes a series.
func nameIn(format expfmt.Format, series string) string {
	if format.FormatType() == expfmt.TypeOpenMetrics {
		return strings.NewReplacer(`le="8"`, `le="8.0"`, `le="1"`, `le="1.0"`).Replace(series)
	}
	return series
}

// heal waits, now and then, until the processes have mended what is hostile by
// themselves: nobody has to delete a key by hand.
func (s *session) heal(d rng) error {
	if !d.one(4) && s.Round < 0 {
		return nil
	}
	for i, a := range s.apps {
		if err := s.awaitFlush(a, "a process mends what it needs", fmt.Sprint("process ", i)); err != nil {
			return err
		}
	}
	for i, reg := range []*shoal.Registry{s.apps[0].reg, s.apps[1].reg, s.reader} {
		if s.crowded {
			break
		}
		p, err := s.awaitPage(reg, "a page comes back", fmt.Sprint("page ", i))
		if err != nil {
			return err
		}
		if err := s.untouched(p, expfmt.FmtText, fmt.Sprintf("page %d, mended", i), i < 2, s.since, s.since); err != nil {
			return err
		}
	}
	return nil
}

// awaitFlush flushes until that succeeds, but for families that are now of another type.
func (s *session) awaitFlush(a *app, promise, who string) error {
	deadline := time.Now().Add(s.Patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := a.reg.Flush(ctx)
		cancel()
		if s.onlyClashes(err) {
			return nil
		}
		if time.Now().After(deadline) {
			return s.overdue(promise, "%s: %.600q", who, err)
		}
	}
}

// onlyClashes says whether all that an error tells is that families are of another type,
// which were written to. These are lost.
func (s *session) onlyClashes(err error) bool {
	switch e := err.(type) {
	case nil:
		return true
	case *shoal.TypeClashError:
		s.lost[e.Name] = true
		return s.ever[e.Name]
	case interface{ Unwrap() error }:
		return e.Unwrap() != nil && s.onlyClashes(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if !s.onlyClashes(one) {
				return false
			}
		}
		return true
	}
	return false
}

// awaitPage reads until there is a page.
func (s *session) awaitPage(reg *shoal.Registry, promise, who string) (*page, error) {
	deadline := time.Now().Add(s.Patience)
	for {
		p, err := read(reg, expfmt.FmtText, 2*time.Second)
		switch {
		case err != nil:
			return nil, s.fails("a page is valid", "%s: %v", who, err)
		case p.samples != nil:
			return p, nil
		case time.Now().After(deadline):
			return nil, s.overdue(promise, "%s: %.600q", who, p.reason)
		}
	}
}

// flushAll flushes everything, with no hostile contents left.
func (s *session) flushAll() error {
	for i, a := range s.apps {
		if err := s.awaitFlush(a, "a process recovers", fmt.Sprint("process ", i)); err != nil {
			return err
		}
	}
	return nil
}

// settle checks a page when nothing hostile is left: what nobody touched is exact, and
// what was lost has begun again. From there on all is exact.
func (s *session) settle() error {
	var p *page
	for deadline := time.Now().Add(s.Patience); ; {
		var err error
		if p, err = s.awaitPage(s.apps[0].reg, "a page comes back", "process 0, cleaned"); err != nil {
			return err
		}
		if err := s.untouched(p, expfmt.FmtText, "cleaned", true, s.since, s.since); err != nil {
			return err
		}
		missing := slices.IndexFunc(summed, func(sm sample) bool { return !p.has(sm.series) && !s.lost[sm.family] })
		if missing < 0 {
			break
		}
		if time.Now().After(deadline) {
			return s.overdue("what was lost begins again", "there is no %s; it said %s", summed[missing].series, s.said())
		}
	}
	for _, sm := range summed {
		got := p.samples[sm.series]
		// A control hash that was tampered with makes a process send again what it had sent.
		forged := slices.Contains(s.attack.keys, s.key("/"+sm.family+"}:ctl"))
		if s.unsure[sm.family] && !forged && !s.lost[sm.family] && (got < 0 || got > s.since*sm.each) {
			return s.fails("what was wiped is not sent again", "%s is %v, want %v at most", sm.series, got, s.since*sm.each)
		}
		s.base[sm.series] = got
	}
	s.since, s.acked = 0, 0
	clear(s.unsure)
	s.attack.touched = map[string]bool{}
	return nil
}

// goOn checks that all processes count on, exactly, and show their gauges.
func (s *session) goOn() error {
	s.count(1)
	s.set()
	if err := s.flushAll(); err != nil {
		return err
	}
	s.acked = s.since
	readers := []*shoal.Registry{s.apps[1].reg, s.reader}
	for i, reg := range readers[s.round%2 : s.round%2+1] {
		if err := s.settled(reg, fmt.Sprintf("page %d, settled", i+1)); err != nil {
			return err
		}
	}
	return nil
}

// set sets all gauges.
func (s *session) set() {
	for i, a := range s.apps {
		a.set(float64(s.round + i))
	}
	s.apps[1].last.Set(float64(s.round + 1))
}

// settled checks a page when all is well. Gauges may come late: a lease has to be had.
func (s *session) settled(reg *shoal.Registry, who string) error {
	deadline := time.Now().Add(s.Patience)
	for {
		p, err := s.awaitPage(reg, "a page comes back", who)
		if err != nil {
			return err
		}
		if err := s.untouched(p, expfmt.FmtText, who, true, s.since, s.since); err != nil {
			return err
		}
		err = wantGauges(p, float64(s.round), float64(s.round+1), s.lost)
		switch {
		case err == nil:
			return nil
		case time.Now().After(deadline):
			return s.overdue("gauges come back", "%s: %v", who, err)
		}
		time.Sleep(5 * time.Millisecond)
		s.set() // the stamps of two sets of one moment may be the wrong way round
		if err := s.flushAll(); err != nil {
			return err
		}
	}
}

const reportPromise = "a report is one printable line"

// reports are what a process said of troubles in a session.
type reports struct {
	mu   sync.Mutex
	n    int      // guarded by mu
	bad  string   // the first that may not stand in a log; guarded by mu
	last []string // guarded by mu
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if trouble := plain(err.Error()); trouble != nil && r.bad == "" {
		r.bad = fmt.Sprintf("%.300q: %v", err.Error(), trouble)
	}
	r.last = append(r.last[max(0, len(r.last)-4):], fmt.Sprintf("%.200q", err.Error()))
}

// said lists the last reports of all processes.
func (s *session) said() (lines []string) {
	for i, r := range s.reports {
		r.mu.Lock()
		for _, line := range r.last {
			lines = append(lines, fmt.Sprint(i, " ", line))
		}
		r.mu.Unlock()
	}
	return lines
}

// checkReports checks that the processes said little, and on one printable line each.
func (s *session) checkReports() error {
	for i, r := range s.reports {
		r.mu.Lock()
		n, bad, last := r.n, r.bad, r.last
		r.mu.Unlock()
		switch {
		case bad != "":
			return s.fails(reportPromise, "process %d: %s", i, bad)
		case n > mostReports:
			return s.fails("reports are few", "process %d: %d, such as %s", i, n, last)
		}
	}
	return nil
}
