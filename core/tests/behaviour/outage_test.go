// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// more waits until jobs_total has grown by n.
func more(t testing.TB, reader *shoal.Registry, n float64) {
	t.Helper()
	from, first := 0.0, true
	testkit.EventuallyPage(t, reader, func(p testkit.Page) error {
		v, ok := p.Value("jobs_total")
		if first && ok {
			from, first = v, false
		}
		if !ok || v < from+n {
			return fmt.Errorf("jobs_total is %v, was %v", v, from)
		}
		return nil
	})
}

// Redis is emptied: its data is lost, pages are always valid and show declared metrics from zero,
// and whatever is counted later counts.
func TestOutage_EmptiedUnderLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	regs := f.processes(t, 2)
	idle := regs[0].NewCounterVec(shoal.CounterOpts{Name: "idle_total"}, []string{"kind"}).WithLabelValues("a")
	idle.Add(9)
	depth := regs[1].NewGauge(shoal.GaugeOpts{Name: "depth"})
	depth.Set(4)
	loads := []*testkit.Load{startLoad(t, regs[0]), startLoad(t, regs[1])}
	reader := f.reader(t)
	more(t, reader, 30)
	flush(t, regs...)
	testkit.Scrape(t, reader).Want(t, `idle_total{kind="a"}`, "9")
	for range 5 {
		testkit.Must(t, f.redis.FlushAll(t.Context()).Err())
		for range 5 {
			testkit.Scrape(t, reader) // the page must be valid
		}
		more(t, reader, 10)
	}
	testkit.EventuallyPage(t, reader, func(p testkit.Page) error {
		if n := len(p.Of("depth")); n != 1 {
			return fmt.Errorf("%d gauges", n)
		}
		return p.Has(`idle_total{kind="a"}`, "0") // its process still has it, so it is shown again
	})
	loads[0].End()
	loads[1].End()
	flush(t, regs...)
	before, _ := testkit.Scrape(t, reader).Value("jobs_total")
	regs[0].NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."}).Add(1000)
	idle.Inc()
	flush(t, regs...)
	p := testkit.Scrape(t, reader)
	p.Want(t, `idle_total{kind="a"}`, "1")
	if v, _ := p.Value("jobs_total"); v != before+1000 {
		t.Errorf("jobs_total went from %v to %v, want 1000 more", before, v)
	}
}

// Somebody deletes one key of a family: the other families don't change, and this one goes on
// from what is left.
func TestOutage_AKeyOfAFamilyIsLost(t *testing.T) {
	t.Parallel()
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
			if n := f.redis.Del(t.Context(), f.family("jobs_total", key)).Val(); n != 1 {
				t.Fatal("there is no such key")
			}
			testkit.Scrape(t, f.reader(t)).Want(t, "else_total", "5")
			c.Add(10)
			d.Add(20)
			flush(t, reg, other)
			want := map[string]string{"ctl": "37", "v": "30"}[key]
			p := testkit.Scrape(t, f.reader(t))
			p.Want(t, "jobs_total", want, "else_total", "5")
		})
	}
}
