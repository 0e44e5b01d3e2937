// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// more returns an error until the counter has grown by n.
func more(t testing.TB, reader *shoal.Registry, n float64) {
	t.Helper()
	from, first := 0.0, true
	eventuallyPage(t, reader, func(p page) error {
		v, ok := p.value("jobs_total")
		if first && ok {
			from, first = v, false
		}
		if !ok || v < from+n {
			return fmt.Errorf("jobs_total is %v, was %v", v, from)
		}
		return nil
	})
}

func TestOutage_FrozenUnderLoadAndThawed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	regs := []*shoal.Registry{f.process(t), f.process(t)}
	loads := []*load{startLoad(t, regs[0]), startLoad(t, regs[1])}
	reader := f.reader(t)
	for _, d := range []time.Duration{50 * time.Millisecond, 1500 * time.Millisecond} { // within a client's timeout, and beyond it
		more(t, reader, 30)
		server.Freeze(t)
		<-time.After(d) // the length of the outage
		server.Thaw(t)
	}
	more(t, reader, 30)
	total := loads[0].end() + loads[1].end()
	flush(t, regs...)
	if err := scrape(t, reader).shows(total); err != nil {
		t.Error(err)
	}
}

func TestOutage_ShutDownUnderLoadAndStartedAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	regs := []*shoal.Registry{f.process(t), f.process(t)}
	depth := regs[0].NewGauge(shoal.GaugeOpts{Name: "depth", Mode: shoal.Sum})
	depth.Set(4)
	loads := []*load{startLoad(t, regs[0]), startLoad(t, regs[1])}
	reader := f.reader(t)
	for range 2 {
		more(t, reader, 30)
		server.Shutdown(t)
		server.Restart(t)
	}
	more(t, reader, 30)
	total := loads[0].end() + loads[1].end()
	flush(t, regs...)
	p := scrape(t, reader)
	if err := errors.Join(p.shows(total), p.has("depth", "4"), p.has("shoal_instances", "2")); err != nil {
		t.Error(err)
	}
}

// Redis was emptied: what it had is gone, the page is valid at any time and
// shows what is declared from zero, and whatever is counted later counts.
func TestOutage_EmptiedUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	regs := []*shoal.Registry{f.process(t), f.process(t)}
	idle := regs[0].NewCounterVec(shoal.CounterOpts{Name: "idle_total"}, []string{"kind"}).WithLabelValues("a")
	idle.Add(9)
	depth := regs[1].NewGauge(shoal.GaugeOpts{Name: "depth"})
	depth.Set(4)
	loads := []*load{startLoad(t, regs[0]), startLoad(t, regs[1])}
	reader := f.reader(t)
	more(t, reader, 30)
	flush(t, regs...)
	scrape(t, reader).want(t, `idle_total{kind="a"}`, "9")
	for range 5 {
		if err := f.redis.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			scrape(t, reader) // valid, if nothing else
		}
		more(t, reader, 10)
	}
	eventuallyPage(t, reader, func(p page) error {
		if n := len(p.of("depth")); n != 1 {
			return fmt.Errorf("%d gauges", n)
		}
		return p.has(`idle_total{kind="a"}`, "0") // known, and so shown anew
	})
	loads[0].end()
	loads[1].end()
	flush(t, regs...)
	before, _ := scrape(t, reader).value("jobs_total")
	regs[0].NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."}).Add(1000)
	idle.Inc()
	flush(t, regs...)
	p := scrape(t, reader)
	p.want(t, `idle_total{kind="a"}`, "1")
	if v, _ := p.value("jobs_total"); v != before+1000 {
		t.Errorf("jobs_total went from %v to %v, want 1000 more", before, v)
	}
}

// One key of a family is lost, as by a hand that was too quick: the other
// families don't notice, and this one goes on from what is left.
func TestOutage_AKeyOfAFamilyIsLost(t *testing.T) {
	for _, key := range []string{"ctl", "v"} {
		t.Run(key, func(t *testing.T) {
			f := newFleet(t)
			reg, other := f.process(t), f.process(t)
			c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
			d := other.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
			e := reg.NewCounter(shoal.CounterOpts{Name: "else_total"})
			c.Add(3)
			d.Add(4)
			e.Add(5)
			flush(t, reg, other)
			if n := f.redis.Del(t.Context(), "shoal:1:{"+f.app+"/jobs_total}:"+key).Val(); n != 1 {
				t.Fatal("there is no such key")
			}
			scrape(t, f.reader(t)).want(t, "else_total", "5")
			c.Add(10)
			d.Add(20)
			flush(t, reg, other)
			want := map[string]string{"ctl": "37", "v": "30"}[key]
			p := scrape(t, f.reader(t))
			p.want(t, "jobs_total", want, "else_total", "5")
		})
	}
}
