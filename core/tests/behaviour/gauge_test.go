// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestGauge_SetIncAndDecUnderTheIndexOfItsProcess(t *testing.T) {
	f := newFleet(t)
	reg, other := f.process(t), f.reader(t)
	g := reg.NewGauge(shoal.GaugeOpts{Name: "temperature"})
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return g.SetSync(within(t), 12.3) }, "12.3"},
		{func() error { return g.AddSync(within(t), 0.6) }, "12.9"},
		{func() error { return g.AddSync(within(t), -1.7) }, "11.2"},
		{func() error { g.Inc(); return nil }, "12.2"},
		{func() error { g.Dec(); g.Dec(); return nil }, "10.2"},
		{func() error { g.Sub(0.2); return nil }, "10"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		flush(t, reg)
		p := scrape(t, other)
		v, ok := p.value(`temperature{gauge_index="0"}`)
		if got := fmt.Sprintf("%.12g", v); !ok || got != step.want {
			t.Errorf("the page shows %q, want %s", p.of("temperature"), step.want)
		}
	}
}

func TestGauge_GoneAfterItsExpiryWhenRefreshingStops(t *testing.T) {
	f := newFleet(t)
	// The lease outlives the test, so that only the expiry can end the gauge.
	c := f.spawn(t, func(c *childConfig) {
		c.Lease, c.Refresh, c.Expire = time.Minute, 200*time.Millisecond, 400*time.Millisecond
	})
	c.tell("set 5")
	reader := f.reader(t)
	scrape(t, reader).want(t, `depth{gauge_index="0"}`, "5")
	c.signal(syscall.SIGSTOP)
	eventuallyPage(t, reader, func(p page) error { return p.lacks("depth") })
	p := scrape(t, reader)
	p.want(t, "shoal_instances", "1")
	if strings.Contains(p.text, "depth") {
		t.Errorf("the page has no sample of the gauge and still names it:\n%s", p.users())
	}
	// What only slept comes back by itself.
	c.signal(syscall.SIGCONT)
	eventuallyPage(t, reader, func(p page) error { return p.has(`depth{gauge_index="0"}`, "5") })
}

func TestGauge_AliveBeyondItsExpiryWhileItIsRefreshed(t *testing.T) {
	f := newFleet(t)
	reg, other := f.process(t), f.reader(t)
	const expire = time.Second // far longer than a refresh takes on a busy machine
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth", Expire: expire})
	if err := g.SetSync(within(t), 5); err != nil {
		t.Fatal(err)
	}
	ends := time.After(2 * expire)
	for over := false; !over; {
		select {
		case <-ends:
			over = true
		case <-time.After(10 * time.Millisecond):
		}
		if p := scrape(t, other); len(p.of("depth")) != 1 {
			t.Fatalf("the gauge is gone: %q", p.of("depth"))
		}
	}
}

func TestGauge_RefreshPeriodAndExpiryAreSettable(t *testing.T) {
	f := newFleet(t)
	reg := shoal.New()
	reg.NewGauge(shoal.GaugeOpts{Name: "short", Expire: time.Second}).Set(1)
	reg.NewGauge(shoal.GaugeOpts{Name: "long", Expire: time.Hour}).Set(1)
	reg.NewGauge(shoal.GaugeOpts{Name: "usual"}).Set(1)
	opts := f.quick()
	for _, period := range []time.Duration{time.Second, 2 * time.Second, shoal.DefRefreshPeriod} {
		opts.RefreshPeriod = period
		if err := reg.Connect(f.connect(t), opts); err == nil {
			t.Fatalf("the period %v is accepted beside an expiry of 1s", period)
		}
	}
	f.join(t, reg, func(o *shoal.Opts) { o.RefreshPeriod = 900 * time.Millisecond })
	if _, err := reg.RegisterGauge(shoal.GaugeOpts{Name: "late", Expire: 900 * time.Millisecond}); err == nil {
		t.Error("a gauge that expires between two refreshes is accepted after Connect")
	}
	flush(t, reg)
	now := f.redis.Time(t.Context()).Val()
	for name, expire := range map[string]time.Duration{
		"short": time.Second, "long": time.Hour, "usual": shoal.DefExpire,
	} {
		left := f.storedGauge(t, name).deadline.Sub(now)
		if left > expire || left < expire-time.Second {
			t.Errorf("%s expires in %v, want %v", name, left, expire)
		}
	}
}

// A value and its expiry reach Redis in one step: whenever the key exists, it
// has an expiry, and so has each gauge in it.
func TestGauge_NoneIsEverWithoutAnExpiry(t *testing.T) {
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
			// The key may have lost its last gauge meanwhile: that is -2.
			if ttl := f.redis.PTTL(t.Context(), key).Val(); ttl == -1 || ttl > shoal.DefExpire {
				t.Fatalf("step %d: %s expires in %v", i, key, ttl)
			}
		}
	}
}

func TestGauge_IncrementedAfterItsKeyWasLostShowsWhatTheProcessHolds(t *testing.T) {
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
	if err := one.AddSync(within(t), 1); err != nil {
		t.Fatal(err)
	}
	// The gauge that nobody touched is back with it.
	scrape(t, other).want(t, `one{gauge_index="0"}`, "42", `two{gauge_index="0"}`, "7")
}

func TestGauge_RefreshingOutlivesErrors(t *testing.T) {
	s := redistest.Start(t)
	f := fleetOn(t, s)
	reg := f.process(t)
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth", Expire: 400 * time.Millisecond})
	if err := g.SetSync(within(t), 5); err != nil {
		t.Fatal(err)
	}
	shown := func(p page) error { return p.has(`depth{gauge_index="0"}`, "5") }
	reader := f.reader(t)
	for name, trouble := range map[string][2]func() error{
		"out of memory": {
			func() error { return f.redis.ConfigSet(t.Context(), "maxmemory", "1").Err() },
			func() error { return f.redis.ConfigSet(t.Context(), "maxmemory", "0").Err() },
		},
		"a stranger's key": {
			func() error {
				key := f.gaugeKeys(t)[0]
				return errors.Join(f.redis.Del(t.Context(), key).Err(), f.redis.Set(t.Context(), key, "x", 0).Err())
			},
			func() error { return f.redis.Del(t.Context(), f.gaugeKeys(t)...).Err() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			eventuallyPage(t, reader, shown)
			if err := trouble[0](); err != nil {
				t.Fatal(err)
			}
			eventuallyPage(t, reader, func(p page) error { return p.lacks("depth") })
			if err := trouble[1](); err != nil {
				t.Fatal(err)
			}
			eventuallyPage(t, reader, shown)
		})
	}
	if v, _ := scrape(t, reader).value("shoal_flush_failures_total"); v == 0 {
		t.Error("there was no failure to outlive")
	}
}

func TestGauge_ModesFoldTheLiving(t *testing.T) {
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
	scrape(t, regs[3]).want(t, "g_sum", "6", "g_max", "4", "g_min", "-1", "g_avg", "2", "g_latest", "3")
	closeAll(t, regs[0], regs[2])
	scrape(t, regs[3]).want(t, "g_sum", "-1", "g_max", "-1", "g_min", "-1", "g_avg", "-1", "g_latest", "3")
	closeAll(t, regs[1], regs[3])
	p := scrape(t, f.process(t))
	p.want(t, "g_latest", "3") // belongs to no process
	if err := errors.Join(p.lacks("g_sum"), p.lacks("g_max"), p.lacks("g_min"), p.lacks("g_avg")); err != nil {
		t.Error(err)
	}
}

func TestGauge_TakesNaNAndInfinities(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	v := reg.NewGaugeVec(shoal.GaugeOpts{Name: "odd"}, []string{"v"})
	v.WithLabelValues("nan").Set(math.NaN())
	v.WithLabelValues("inf").Set(math.Inf(1))
	v.WithLabelValues("ninf").Set(math.Inf(-1))
	v.WithLabelValues("tiny").Set(math.SmallestNonzeroFloat64)
	flush(t, reg)
	scrape(t, f.process(t)).want(t, `odd{gauge_index="0",v="nan"}`, "NaN", `odd{gauge_index="0",v="inf"}`, "+Inf",
		`odd{gauge_index="0",v="ninf"}`, "-Inf", `odd{gauge_index="0",v="tiny"}`, "5e-324")
}

func TestGauge_AFunctionIsAskedWhileTheProcessLives(t *testing.T) {
	f := newFleet(t)
	reg, reader := shoal.New(), f.reader(t)
	var asked atomic.Int64
	reg.NewGaugeFunc(shoal.GaugeOpts{Name: "asked"}, func() float64 {
		if asked.Add(1) == 2 {
			panic("once")
		}
		return float64(asked.Load())
	})
	f.join(t, reg, func(o *shoal.Opts) { o.LeaseDuration = 300 * time.Millisecond })
	eventuallyPage(t, reader, func(p page) error {
		if v, ok := p.value(`asked{gauge_index="0"}`); !ok || v < 3 {
			return fmt.Errorf("the page shows %q", p.of("asked"))
		}
		return nil
	})
	eventuallyPage(t, reader, func(p page) error { return p.has("shoal_gaugefunc_panics_total", "1") })
	closeAll(t, reg)
	if err := scrape(t, reader).lacks("asked"); err != nil {
		t.Error(err)
	}
}
