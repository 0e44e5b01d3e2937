// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestGauge_SetIncAndDecUnderTheIndexOfItsProcess(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.reader(t)
	g := reg.NewGauge(shoal.GaugeOpts{Name: "temperature"})
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return g.SetSync(testkit.Within(t), 12.3) }, "12.3"},
		{func() error { return g.AddSync(testkit.Within(t), 0.6) }, "12.9"},
		{func() error { return g.AddSync(testkit.Within(t), -1.7) }, "11.2"},
		{func() error { g.Inc(); return nil }, "12.2"},
		{func() error { g.Dec(); g.Dec(); return nil }, "10.2"},
		{func() error { g.Sub(0.2); return nil }, "10"},
	} {
		testkit.Must(t, step.do())
		flush(t, reg)
		p := testkit.Scrape(t, other)
		v, ok := p.Value(`temperature{gauge_index="0"}`)
		if got := fmt.Sprintf("%.12g", v); !ok || got != step.want {
			t.Errorf("the page shows %q, want %s", p.Of("temperature"), step.want)
		}
	}
}

func TestGauge_GoneAfterItsExpiryWhenRefreshingStops(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	// The lease outlives the test, so that only its own expiry can remove the gauge.
	c := f.spawn(t, func(c *childConfig) {
		c.Lease, c.Refresh, c.Expire = time.Minute, 200*time.Millisecond, 400*time.Millisecond
	})
	c.Tell("set 5")
	reader := f.reader(t)
	testkit.EventuallyHas(t, reader, `depth{gauge_index="0"}`, "5")
	c.Signal(syscall.SIGSTOP)
	testkit.EventuallyPage(t, reader, func(p testkit.Page) error { return p.Lacks("depth") })
	p := testkit.Scrape(t, reader)
	p.Want(t, "shoal_instances", "1")
	if strings.Contains(p.Text, "depth") {
		t.Errorf("the page has no sample of the gauge and still names it:\n%s", p.Users())
	}
	// When the process runs again, its gauge is back.
	c.Signal(syscall.SIGCONT)
	testkit.EventuallyHas(t, reader, `depth{gauge_index="0"}`, "5")
}

// A value and its expiry reach Redis in one step: whenever the key exists, it
// has an expiry, and so has each gauge in it.
func TestGauge_NoneIsEverWithoutAnExpiry(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	v := reg.NewGaugeVec(shoal.GaugeOpts{Name: "depth", Expire: 10 * time.Second}, []string{"queue"})
	for i := range 50 {
		v.WithLabelValues(fmt.Sprint(i % 5)).Set(float64(i))
		if i%7 == 0 {
			v.DeleteLabelValues(fmt.Sprint(i % 3))
		}
		flush(t, reg)
		for _, key := range f.gaugeKeys(t) {
			// -2 means that the key has expired meanwhile, with its last gauge.
			if ttl := f.redis.PTTL(t.Context(), key).Val(); ttl == -1 || ttl > shoal.DefExpire {
				t.Fatalf("step %d: %s expires in %v", i, key, ttl)
			}
		}
	}
}

func TestGauge_IncrementedAfterItsKeyWasLostShowsWhatTheProcessHolds(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.reader(t)
	one := reg.NewGauge(shoal.GaugeOpts{Name: "one"})
	two := reg.NewGauge(shoal.GaugeOpts{Name: "two"})
	one.Set(41)
	two.Set(7)
	flush(t, reg)
	if n := f.redis.Del(t.Context(), f.gaugeKeys(t)...).Val(); n != 1 {
		t.Fatalf("%d keys of gauges, want 1", n)
	}
	testkit.Must(t, one.AddSync(testkit.Within(t), 1))
	// The gauge that was not changed is back too.
	testkit.Scrape(t, other).Want(t, `one{gauge_index="0"}`, "42", `two{gauge_index="0"}`, "7")
}

func TestGauge_RefreshingOutlivesErrors(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	f := fleetOn(t, s)
	reg := f.process(t)
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth", Expire: 400 * time.Millisecond})
	testkit.Must(t, g.SetSync(testkit.Within(t), 5))
	shown := func(p testkit.Page) error { return p.Has(`depth{gauge_index="0"}`, "5") }
	reader := f.reader(t)
	for name, trouble := range map[string]struct {
		begin func() error
		noted func(testkit.Page) error // a page that shows it
		end   func() error
	}{
		"out of memory": {
			begin: func() error { return f.redis.ConfigSet(t.Context(), "maxmemory", "1").Err() },
			noted: func(p testkit.Page) error { return p.Lacks("depth") },
			end:   func() error { return f.redis.ConfigSet(t.Context(), "maxmemory", "0").Err() },
		},
		// The process replaces the key so soon that a page may never be without the gauge.
		"a stranger's key": {
			begin: func() error {
				key := f.gaugeKeys(t)[0]
				return errors.Join(f.redis.Del(t.Context(), key).Err(), f.redis.Set(t.Context(), key, "x", 0).Err())
			},
			noted: func(p testkit.Page) error {
				if v, _ := p.Value("shoal_corrupt_values_total"); v == 0 {
					return errors.New("nobody has found the key")
				}
				return nil
			},
			end: func() error { return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.EventuallyPage(t, reader, shown)
			testkit.Must(t, trouble.begin())
			testkit.EventuallyPage(t, reader, trouble.noted)
			testkit.Must(t, trouble.end())
			testkit.EventuallyPage(t, reader, shown)
		})
	}
	if v, _ := testkit.Scrape(t, reader).Value("shoal_flush_failures_total"); v == 0 {
		t.Error("there was no failure to outlive")
	}
}

func TestGauge_ModesFoldTheLiving(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	modes := map[string]shoal.Mode{
		"sum": shoal.Sum, "max": shoal.Max, "min": shoal.Min, "avg": shoal.Avg, "latest": shoal.Latest,
	}
	var regs []*shoal.Registry
	for i, v := range []float64{4, -1, 3, math.NaN()} {
		reg := f.process(t)
		for name, mode := range modes {
			g := reg.NewGauge(shoal.GaugeOpts{Name: "g_" + name, Mode: mode})
			if name != "latest" || i < 3 {
				g.Set(v)
			}
		}
		flush(t, reg)
		regs = append(regs, reg)
	}
	testkit.Scrape(t, regs[3]).Want(t, "g_sum", "6", "g_max", "4", "g_min", "-1", "g_avg", "2", "g_latest", "3")
	closeAll(t, regs[0], regs[2])
	testkit.Scrape(t, regs[3]).Want(t, "g_sum", "-1", "g_max", "-1", "g_min", "-1", "g_avg", "-1", "g_latest", "3")
	closeAll(t, regs[1], regs[3])
	p := testkit.Scrape(t, f.process(t))
	p.Want(t, "g_latest", "3") // a Latest gauge belongs to no process
	p.WantNone(t, "g_sum", "g_max", "g_min", "g_avg")
}

func TestGauge_TakesNaNAndInfinities(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	v := reg.NewGaugeVec(shoal.GaugeOpts{Name: "odd"}, []string{"v"})
	v.WithLabelValues("nan").Set(math.NaN())
	v.WithLabelValues("inf").Set(math.Inf(1))
	v.WithLabelValues("ninf").Set(math.Inf(-1))
	v.WithLabelValues("tiny").Set(math.SmallestNonzeroFloat64)
	flush(t, reg)
	testkit.Scrape(t, f.process(t)).Want(t, `odd{gauge_index="0",v="nan"}`, "NaN", `odd{gauge_index="0",v="inf"}`, "+Inf",
		`odd{gauge_index="0",v="ninf"}`, "-Inf", `odd{gauge_index="0",v="tiny"}`, "5e-324")
}
