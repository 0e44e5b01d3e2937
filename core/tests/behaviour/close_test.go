// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The promise that Close loses nothing: what no flush had come to yet is there
// when Close returns.
func TestCloseLosesNothing(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t, func(o *shoal.Opts) { o.Interval = time.Hour })
	c := reg.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind"})
	var group sync.WaitGroup
	for _, kind := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			for range 1000 {
				c.WithLabelValues(kind).Inc()
			}
		})
	}
	reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}).Observe(0.5)
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(5)
	reg.NewGauge(shoal.GaugeOpts{Name: "last_success", Mode: shoal.Latest}).Set(6)
	group.Wait()
	closeAll(t, reg)
	p := scrape(t, f.reader(t))
	p.want(t, `jobs_total{kind="a"}`, "1000", `jobs_total{kind="b"}`, "1000", `jobs_total{kind="c"}`, "1000",
		`jobs_total{kind="d"}`, "1000", "took_seconds_count", "1", "last_success", "6")
	if err := p.lacks("depth"); err != nil {
		t.Error(err)
	}
	closeAll(t, reg, reg) // twice is harmless
	c.WithLabelValues("a").Inc()
	scrape(t, f.reader(t)).want(t, `jobs_total{kind="a"}`, "1000")
}

func TestCloseLosesNothing_OfThoseWhoStillWait(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	var group sync.WaitGroup
	var mu sync.Mutex
	confirmed := 0
	for range 20 {
		group.Go(func() {
			for {
				if _, err := c.IncSync(within(t)); err != nil {
					return
				}
				mu.Lock()
				confirmed++
				mu.Unlock()
			}
		})
	}
	eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if confirmed < 100 {
			return errors.New("too few")
		}
		return nil
	})
	closeAll(t, reg)
	group.Wait()
	v, _ := scrape(t, f.reader(t)).value("jobs_total")
	// What was confirmed is there, and what the Close refused is not.
	if v != float64(confirmed) {
		t.Errorf("%v are there, %d were confirmed", v, confirmed)
	}
}

func TestCloseLosesNothing_ItWaitsForRedis(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	c.Inc()
	flush(t, reg)
	server.Freeze(t)
	c.Add(2)
	closed := make(chan error, 1)
	go func() { closed <- reg.Close(within(t)) }()
	select {
	case err := <-closed:
		t.Errorf("Close does not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	server.Thaw(t)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	scrape(t, f.reader(t)).want(t, "jobs_total", "3", "shoal_instances", "0")
}

func TestCloseLosesNothing_OrSaysWhat(t *testing.T) {
	for name, away := range map[string]func(*redistest.Server){
		"frozen": func(s *redistest.Server) { s.Freeze(t) },
		"killed": func(s *redistest.Server) { s.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			reg := shoal.New()
			c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
			opts := fleetOn(t, server).quick()
			if err := reg.Connect(server.Client(t, impatient), opts); err != nil {
				t.Fatal(err)
			}
			flush(t, reg)
			away(server)
			c.Inc()
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err := reg.Close(ctx)
			var undelivered *shoal.UndeliveredError
			if !errors.As(err, &undelivered) {
				t.Fatalf("Close gives %v, want an UndeliveredError", err)
			}
			if undelivered.Series+undelivered.Batches == 0 {
				t.Errorf("%v: it names nothing", err)
			}
			if took := time.Since(begin); took > patience/2 {
				t.Errorf("Close took %v with a deadline of 300ms", took)
			}
			if again := reg.Close(within(t)); again == nil || again.Error() != err.Error() {
				t.Errorf("the second Close gives %v, the first gave %v", again, err)
			}
		})
	}
}

// The deadline and the end of the work come at the same moment, and it is
// always the work's result that is returned.
func TestCloseLosesNothing_OrSaysSoAtItsDeadline(t *testing.T) {
	server := redistest.Start(t)
	opts := fleetOn(t, server).quick()
	server.Freeze(t)
	for range 10 {
		reg := shoal.New()
		reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
		if err := reg.Connect(server.Client(t, impatient), opts); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		var undelivered *shoal.UndeliveredError
		if err := reg.Close(ctx); !errors.As(err, &undelivered) || undelivered.Series == 0 {
			t.Errorf("Close gives %v", err)
		}
		cancel()
	}
}

func TestCloseLosesNothing_ByAProcessThatEnds(t *testing.T) {
	f := newFleet(t)
	total := 0
	for range 3 {
		c := f.spawn(t, func(c *childConfig) { c.Every = time.Hour })
		c.tell("inc 100")
		c.tell("observe 3")
		c.tell("inc 11")
		c.tell("close")
		_ = c.in.Close()
		if err := c.cmd.Wait(); err != nil {
			t.Error(err)
		}
		total += 111
	}
	if v, _ := scrape(t, f.reader(t)).value("jobs_total"); v != float64(total) {
		t.Errorf("jobs_total is %v, want %d", v, total)
	}
}
