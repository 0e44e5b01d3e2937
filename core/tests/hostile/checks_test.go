// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	shoal "github.com/shoal-metrics/shoal/core"
)

// live lets the processes go on with hostile contents in Redis: requests, flushes, deletions,
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
	var calls []func() error
	call := func(promise string, f func(ctx context.Context)) {
		calls = append(calls, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
			defer cancel()
			begin := time.Now()
			f(ctx)
			return s.late(promise, time.Since(begin), flushTimeout+slack)
		})
	}
	for _, a := range s.apps {
		if d.one(2) {
			continue // only the flush of a page
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
		call("housekeeping ends with its context", func(ctx context.Context) { _, _ = s.store.Housekeep(ctx, 30*24*time.Hour, 0) })
	}
	return together(calls)
}

// together runs calls at the same time, and returns the first error.
func together(calls []func() error) error {
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { errs[i] = call() })
	}
	all.Wait()
	return cmp.Or(errs...)
}

// show reads the page of each process, which must be complete and right, or a 503 in time.
func (s *session) show(d rng) error {
	first := d.IntN(3)
	var reads []func() error
	for i, reg := range s.registries() {
		format := formats[(first+i)%3]
		reads = append(reads, func() error {
			p, err := read(reg, format, pageTimeout)
			if err != nil {
				return s.fails("a page is valid", "page %d: %v", i, err)
			}
			if err := s.late("a page comes in its time", p.took, pageTimeout+slack); err != nil {
				return err
			}
			if p.samples == nil {
				s.note(func(sum *summary) { sum.Held++ })
				return nil
			}
			s.note(func(sum *summary) { sum.Pages++ })
			return s.untouched(p, fmt.Sprint("page ", i), i < 2, s.acked, s.since)
		})
	}
	return together(reads)
}

// registries are those of all processes; the third only reads.
func (s *session) registries() []*shoal.Registry {
	return []*shoal.Registry{s.apps[0].reg, s.apps[1].reg, s.reader}
}

// untouched checks the families that only shoal has written to: since the base they must have
// from least to most events. A whole page has them even if the list of families lost them: a
// writing process lists them again, or shows no page.
func (s *session) untouched(p *page, who string, whole bool, least, most float64) error {
	for _, sm := range summed {
		if s.attack.touched[sm.family] || s.unsure[sm.family] || s.lost[sm.family] {
			continue
		}
		got, shown := p.samples[sm.series]
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

// hidden says whether a hostile family may have taken the name of one of this family's samples.
func (s *session) hidden(family string) bool {
	for name := range s.attack.touched {
		if strings.HasPrefix(name, family) || strings.HasPrefix(family, name) {
			return true
		}
	}
	return false
}

// heal waits, in some rounds, until the processes have repaired their keys by themselves:
// no operator has to delete a key.
func (s *session) heal(d rng) error {
	if !d.one(4) && s.Round < 0 {
		return nil
	}
	if err := s.flushAll("a process mends what it needs"); err != nil || s.crowded {
		return err
	}
	for i, reg := range s.registries() {
		who := fmt.Sprintf("page %d, mended", i)
		p, err := s.awaitPage(reg, who)
		if err != nil {
			return err
		}
		if err := s.untouched(p, who, i < 2, s.since, s.since); err != nil {
			return err
		}
	}
	return nil
}

// await repeats attempt until nothing is missing, or until patience is over.
func (s *session) await(promise, who string, attempt func() (missing string, err error)) error {
	for deadline := time.Now().Add(s.Patience); ; {
		missing, err := attempt()
		switch {
		case err != nil:
			return err
		case missing == "":
			return nil
		case time.Now().After(deadline):
			return s.overdue(promise, "still after %v: %s: %.600q", s.Patience, who, missing)
		}
	}
}

// flushAll flushes each process until that succeeds, except for families whose type an
// attack changed.
func (s *session) flushAll(promise string) error {
	for i, a := range s.apps {
		if err := s.await(promise, fmt.Sprint("process ", i), func() (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if err := a.reg.Flush(ctx); !s.onlyClashes(err) {
				return err.Error(), nil
			}
			return "", nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// onlyClashes says whether an error only reports that attacked families have another type.
// These are lost.
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

// awaitPage scrapes until there is a page.
func (s *session) awaitPage(reg *shoal.Registry, who string) (p *page, err error) {
	err = s.await("a page comes back", who, func() (string, error) {
		if p, err = read(reg, expfmt.FmtText, 2*time.Second); err != nil {
			return "", s.fails("a page is valid", "%s: %v", who, err)
		}
		return p.reason, nil
	})
	return p, err
}

// checkExact checks a page when nothing hostile is left: families that were not attacked are exact,
// and those that lost data have begun again. From then on all are exact.
func (s *session) checkExact() error {
	var p *page
	if err := s.await("what was lost begins again", "the page", func() (string, error) {
		var err error
		if p, err = s.awaitPage(s.apps[0].reg, "process 0, cleaned"); err != nil {
			return "", err
		}
		if err := s.untouched(p, "cleaned", true, s.since, s.since); err != nil {
			return "", err
		}
		for _, sm := range summed {
			if !p.has(sm.series) && !s.lost[sm.family] {
				return fmt.Sprintf("lacks %s; it said %s", sm.series, s.said()), nil
			}
		}
		return "", nil
	}); err != nil {
		return err
	}
	for _, sm := range summed {
		got := p.samples[sm.series]
		// A control hash that was changed makes a process send batches again.
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

// goOn checks that all processes go on counting, exactly, and show their gauges. Gauges may
// come late, since a process needs a lease for them.
func (s *session) goOn() error {
	s.count(1)
	s.set()
	if err := s.flushAll(recovers); err != nil {
		return err
	}
	s.acked = s.since
	i := 1 + s.round%2
	who := fmt.Sprintf("page %d, with nothing hostile left", i)
	return s.await("gauges come back", who, func() (string, error) {
		p, err := s.awaitPage(s.registries()[i], who)
		if err != nil {
			return "", err
		}
		if err := s.untouched(p, who, true, s.since, s.since); err != nil {
			return "", err
		}
		missing := wantGauges(p, float64(s.round), float64(s.round+1), s.lost)
		if missing == nil {
			return "", nil
		}
		s.set() // the times of two sets at the same moment may be in the wrong order
		return missing.Error(), s.flushAll(recovers)
	})
}

// recovers is what a process does once nothing hostile is left.
const recovers = "a process recovers"

// set sets all gauges.
func (s *session) set() {
	for i, a := range s.apps {
		a.set(float64(s.round + i))
	}
	s.apps[1].last.Set(float64(s.round + 1))
}

// reports are what a process reported in a session.
type reports struct {
	mu   sync.Mutex
	n    int      // guarded by mu
	bad  string   // the first that must not be in a log; guarded by mu
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

// checkReports checks that the processes reported little, each time one printable line.
func (s *session) checkReports() error {
	for i, r := range s.reports {
		r.mu.Lock()
		n, bad, last := r.n, r.bad, r.last
		r.mu.Unlock()
		switch {
		case bad != "":
			return s.fails("a report is one printable line", "process %d: %s", i, bad)
		case n > mostReports:
			return s.fails("reports are few", "process %d: %d, such as %s", i, n, last)
		}
	}
	return nil
}
