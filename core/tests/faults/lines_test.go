// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

const (
	families = 300
	// longestOutage is what readers wait for writers after Redis has changed its lineage, see
	// Lineage in docs/protocol.md. It does not change in a deploy: no process may lack its page
	// for longer than in a recovery.
	longestOutage = 7500 * time.Millisecond
	usualTimeout  = 5 * time.Second // of a scrape
)

// A rolling deploy of processes that are far from Redis: each in turn is replaced by one that labels its
// series by another version, so that all families get new series. Nobody goes without a page for
// longer than in a recovery, no counter falls, each process closes, and the totals are exact.
func TestLines_ADeployLeavesNobodyWithoutAPage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := &rollout{t: t, delay: startDelay(t)}
	for _, roundTrip := range []time.Duration{20 * time.Millisecond, 80 * time.Millisecond} {
		line := redistest.StartLine(t, server.Addr, roundTrip, 0)
		for range 2 {
			r.places = append(r.places, place{line: line, roundTrip: roundTrip})
		}
	}
	version := 0
	for i := range r.places {
		r.places[i].serving = r.start(&r.places[i], version)
	}
	r.pages(1)
	for begin := time.Now(); version == 0 || time.Since(begin) < *rolling; {
		version++
		for i := range r.places {
			r.replace(&r.places[i], version)
		}
		r.pages(5)
		t.Logf("deploy %d is through after %v", version, time.Since(begin).Round(100*time.Millisecond))
	}
	for i := range r.places {
		r.end(r.places[i].serving)
	}
	r.exact(server.URL())
}

// rollout is a fleet through deploys.
type rollout struct {
	t      *testing.T
	delay  *delay
	places []place
	rounds int // of all processes that have ended
}

// place is where a process runs, and after a deploy another one.
type place struct {
	line      *redistest.Line
	roundTrip time.Duration
	serving   *replica
}

// replica is a process under load and its Prometheus.
type replica struct {
	name   string
	reg    *shoal.Registry
	watch  *watch
	stop   chan struct{}
	load   sync.WaitGroup
	rounds int // how often each counter counted
}

// start starts a process. Its load and its scrapes begin at once.
func (r *rollout) start(at *place, version int) *replica {
	r.t.Helper()
	p := &replica{
		name: fmt.Sprintf("version %d on a line of %v", version, at.roundTrip),
		reg:  shoal.New(), stop: make(chan struct{}),
	}
	counters := make([]*shoal.Counter, families)
	for i := range counters {
		vec := p.reg.NewCounterVec(shoal.CounterOpts{Name: fmt.Sprintf("family_%d_total", i)}, []string{"version"})
		counters[i] = vec.WithLabelValues(strconv.Itoa(version))
	}
	testkit.Must(r.t, p.reg.Open(at.line.URL(), shoal.Opts{App: "rollout", OnError: func(error) {}}))
	r.t.Cleanup(func() { _ = p.reg.Close(testkit.Shortly(r.t)) }) // if the test has not closed it
	p.load.Go(func() {
		for {
			for _, c := range counters {
				c.Inc()
			}
			p.rounds++
			select {
			case <-p.stop:
				return
			case <-time.After(100 * time.Millisecond): // the period of the load
			}
		}
	})
	r.t.Cleanup(p.rest)
	p.watch = startWatchEvery(r.t, r.delay, 250*time.Millisecond, usualTimeout, p.reg)
	return p
}

// rest ends the load and returns when no counter counts any more.
func (p *replica) rest() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.load.Wait()
}

// pages waits until every process has given n more pages.
func (r *rollout) pages(n int) {
	r.t.Helper()
	for _, at := range r.places {
		at.serving.pages(r.t, at.serving.watch.mark(), n)
	}
}

// pages waits for n pages since the mark, whatever comes between them.
func (p *replica) pages(t *testing.T, mark, n int) {
	t.Helper()
	p.watch.until(t, mark, func(answers []answer) error {
		got, reason := 0, ""
		for _, a := range answers {
			if a.reason == "" {
				got++
			} else {
				reason = a.reason
			}
		}
		if got < n {
			return fmt.Errorf("%s: %d pages in %d answers, the last 503: %q", p.name, got, len(answers), reason)
		}
		return nil
	})
}

// replace starts a process, and ends the one in whose place it is, when the new one has a page.
func (r *rollout) replace(at *place, version int) {
	r.t.Helper()
	old := at.serving
	at.serving = r.start(at, version)
	at.serving.pages(r.t, 0, 1)
	r.end(old)
}

// end closes a process and checks what its Prometheus got.
func (r *rollout) end(p *replica) {
	r.t.Helper()
	p.watch.end()
	p.rest()
	r.rounds += p.rounds
	if err := p.reg.Close(testkit.Within(r.t)); err != nil {
		r.t.Errorf("%s: closing: %v", p.name, err)
	}
	if took := p.watch.longestOutage(); took > longestOutage {
		r.t.Errorf("%s: no page for %v, a recovery takes %v", p.name, took.Round(100*time.Millisecond), longestOutage)
	}
	p.watch.neverFell(r.t)
}

// exact fails the test unless each family adds up to what all processes counted.
func (r *rollout) exact(url string) {
	r.t.Helper()
	reader := shoal.New()
	testkit.Must(r.t, reader.Open(url, shoal.Opts{App: "rollout", ReadOnly: true}))
	r.t.Cleanup(func() { _ = reader.Close(testkit.Shortly(r.t)) })
	p := testkit.Scrape(r.t, reader)
	for i := range families {
		if name := fmt.Sprintf("family_%d_total", i); p.Sum(name) != float64(r.rounds) {
			r.t.Errorf("%s adds up to %v, want %d", name, p.Sum(name), r.rounds)
		}
	}
}

// longestOutage is the longest time in which there was no page: from the begin of a scrape that
// got none to the next page, or to the last answer, less the time in which the machine was busy
// with other work.
func (w *watch) longestOutage() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var begin, late time.Duration
	out := false
	for _, a := range w.answers {
		if a.reason != "" && !out {
			out, begin, late = true, a.at-a.took, 0
		}
		if out {
			late += a.late
			longest = max(longest, a.at-begin-late)
		}
		out = out && a.reason != ""
	}
	return longest
}
