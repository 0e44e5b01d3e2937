// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// app is an application of two processes under load, opened as users open it,
// and a Prometheus that scrapes it.
type app struct {
	name      string
	processes []*process
	watch     *watch
	delay     *delay
}

// process is a registry with the load that writes to it.
type process struct {
	reg   *shoal.Registry
	load  *testkit.Load // none before the first
	stop  chan struct{} // ends the awaited adds
	group sync.WaitGroup
	past  int          // events of former loads
	tried atomic.Int64 // awaited adds
	acked atomic.Int64 // awaited adds that returned without an error
	worst atomic.Int64 // ns, of the slowest request
}

// startApp starts the application and waits until its load is on the page.
func startApp(t *testing.T, url string, change ...func(*shoal.Opts)) *app {
	t.Helper()
	a := &app{name: strings.ReplaceAll(t.Name(), "/", ".")}
	opts := shoal.Opts{
		App: a.name, Interval: 100 * time.Millisecond, LeaseDuration: 3 * time.Second,
		Host: "h", OnError: func(error) {},
	}
	for _, c := range change {
		c(&opts)
	}
	open := func(opts shoal.Opts) *shoal.Registry {
		reg := shoal.New()
		testkit.Must(t, reg.Open(url, opts))
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = reg.Close(ctx) // if the test has not closed it
		})
		return reg
	}
	for i := range 2 {
		p := &process{reg: open(opts)}
		// Counted once and never again: the page must show idle metrics too.
		p.reg.NewCounter(shoal.CounterOpts{Name: "idle_total"}).Add(float64(i + 1))
		a.processes = append(a.processes, p)
	}
	reading := opts
	reading.ReadOnly = true
	a.delay = startDelay(t)
	a.watch = startWatch(t, a.delay, open(reading), a.processes[0].reg)
	a.load(t)
	a.more(t, 30)
	return a
}

// load lets every process count, as requests do.
func (a *app) load(t *testing.T) {
	t.Helper()
	for _, p := range a.processes {
		p.begin(a.delay)
	}
	t.Cleanup(a.rest)
}

// rest ends the load.
func (a *app) rest() {
	for _, p := range a.processes {
		p.end()
	}
}

func (p *process) begin(machine *delay) {
	g := p.reg.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Alive.", Mode: shoal.Sum})
	p.load = testkit.StartLoad(p.reg, 2, 4*time.Millisecond, func(begin time.Time) {
		g.Set(1)
		took := time.Since(begin)
		if took > 20*time.Millisecond {
			took -= machine.since(begin)
		}
		for worst := p.worst.Load(); int64(took) > worst && !p.worst.CompareAndSwap(worst, int64(took)); {
			worst = p.worst.Load()
		}
	})
	paid, stop := p.reg.NewCounter(shoal.CounterOpts{Name: "paid_total", Help: "Awaited."}), make(chan struct{})
	p.stop = stop
	p.group.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			p.tried.Add(1)
			if _, err := paid.AddSync(ctx, 1); err == nil {
				p.acked.Add(1)
			}
			cancel()
		}
	})
}

func (p *process) end() {
	if p.load != nil {
		p.past += p.load.End()
		p.load = nil
		close(p.stop)
		p.group.Wait()
	}
}

// events is how many events the process counted.
func (p *process) events() int64 {
	if p.load == nil {
		return int64(p.past)
	}
	return int64(p.past + p.load.Events())
}

// counted adds up what the processes counted.
func (a *app) counted() (n tally) {
	for _, p := range a.processes {
		n.events += p.events()
		n.tried += p.tried.Load()
		n.acked += p.acked.Load()
	}
	return n
}

// tally is what an application counted.
type tally struct{ events, tried, acked int64 }

func (n tally) less(m tally) tally {
	return tally{n.events - m.events, n.tried - m.tried, n.acked - m.acked}
}

// more waits until the page shows n more events than at its first answer.
func (a *app) more(t *testing.T, n float64) {
	t.Helper()
	mark := a.watch.mark()
	first, some := 0.0, false
	a.watch.eventually(t, mark, func(p testkit.Page) error {
		v, ok := p.Value("jobs_total")
		if ok && !some {
			first, some = v, true
		}
		if !ok || v < first+n {
			return fmt.Errorf("jobs_total is %v, was %v", v, first)
		}
		return nil
	})
}

// flush brings all that was counted to Redis.
func (a *app) flush(t *testing.T) {
	t.Helper()
	for _, p := range a.processes {
		testkit.Must(t, p.reg.Flush(testkit.Within(t)))
	}
}

// exact ends the load and fails the test unless the page then shows exactly what was counted,
// less since, acknowledged or not.
func (a *app) exact(t *testing.T, since tally) {
	t.Helper()
	a.rest()
	a.flush(t)
	n := a.counted().less(since)
	t.Cleanup(func() {
		if t.Failed() {
			a.watch.tellLosses(t)
		}
	})
	a.watch.eventually(t, a.watch.mark(), func(p testkit.Page) error { return shows(p, n) })
	t.Logf("%d events and %d awaited adds, %d of them acknowledged: all are on the page", n.events, n.tried, n.acked)
}

// unnoticed fails the test if a request was slow.
func (a *app) unnoticed(t *testing.T) {
	t.Helper()
	// A request that waited for a server that is away would take longer.
	if worst := a.worst(); worst > 700*time.Millisecond {
		t.Errorf("a request took %v", worst)
	}
}

// close closes the processes and fails the test if one returns an error.
func (a *app) close(t *testing.T) {
	t.Helper()
	a.rest()
	for _, p := range a.processes {
		if err := p.reg.Close(testkit.Within(t)); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
}

// shows returns an error unless the page has exactly what was counted.
func shows(p testkit.Page, n tally) error {
	if err := p.ShowsLoad(int(n.events)); err != nil {
		return err
	}
	if paid, _ := p.Value("paid_total"); paid != float64(n.tried) {
		return fmt.Errorf("paid_total is %v, want %v", paid, n.tried)
	}
	return nil
}

// idle returns an error unless the page has what the processes counted at their start.
func idle(p testkit.Page) error { return p.Has("idle_total", "3") }

// worst is the time of the slowest request.
func (a *app) worst() time.Duration {
	var worst time.Duration
	for _, p := range a.processes {
		worst = max(worst, time.Duration(p.worst.Load()))
	}
	return worst
}
