// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"math"
	"sync"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
)

// A total that AddSync returns includes what was added by the call and by
// those before it, and concurrent callers share round trips.
func TestSync_AHundredGoroutinesAddExactly(t *testing.T) {
	f := newFleet(t)
	one, two := f.process(t), f.process(t)
	opts := shoal.CounterOpts{Name: "jobs_total"}
	counters := []*shoal.Counter{one.NewCounter(opts), two.NewCounter(opts)}
	const goroutines, each = 100, 20
	var group sync.WaitGroup
	errs := make(chan error, goroutines)
	for i := range goroutines {
		group.Go(func() {
			mine, last := 0.0, 0.0
			for k := range each {
				v := float64(1 + (i+k)%3)
				total, err := counters[i%2].AddSync(within(t), v)
				mine += v
				switch {
				case err != nil:
					errs <- err
					return
				case total < last+v:
					errs <- fmt.Errorf("after %v the total is %v, with %v more", last, total, v)
					return
				case total < mine:
					errs <- fmt.Errorf("the total is %v, this caller alone added %v", total, mine)
					return
				}
				last = total
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	want := 0.0
	for i := range goroutines {
		for k := range each {
			want += float64(1 + (i+k)%3)
		}
	}
	if total, err := counters[0].AddSync(within(t), 0); err != nil || total != want {
		t.Errorf("the total is %v, %v; want %v", total, err, want)
	}
	// Had each call its own flush, there would be 2,000 of them.
	if n, _ := scrape(t, one).value("shoal_flush_duration_seconds_count"); n > goroutines*each/2 {
		t.Errorf("%v flushes for %d calls", n, goroutines*each)
	}
}

func TestSync_EveryTypeHasItsFormThatWaits(t *testing.T) {
	f := newFleet(t)
	reg, reader := f.process(t), f.reader(t)
	var group sync.WaitGroup
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}})
	s := reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth"})
	l := reg.NewGauge(shoal.GaugeOpts{Name: "last_success", Mode: shoal.Latest})
	for range 50 {
		group.Go(func() {
			for name, err := range map[string]error{
				"histogram": h.ObserveSync(within(t), 0.5), "summary": s.ObserveSync(within(t), 2),
				"gauge": g.AddSync(within(t), 1), "latest": l.SetSync(within(t), 7),
			} {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	group.Wait()
	scrape(t, reader).want(t, "took_seconds_count", "50", "took_seconds_sum", "25", "size_bytes_count", "50",
		"size_bytes_sum", "100", `depth{gauge_index="0"}`, "50", "last_success", "7")
}

func TestSync_ANewSeriesAndASeriesOfAnotherProcess(t *testing.T) {
	f := newFleet(t)
	one, two := f.process(t), f.process(t)
	v := one.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind"})
	w := two.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind"})
	for i := range 20 {
		kind := fmt.Sprint(i)
		if total, err := v.WithLabelValues(kind).AddSync(within(t), 0.25); err != nil || total != 0.25 {
			t.Errorf("%s: %v, %v", kind, total, err)
		}
		if total, err := w.WithLabelValues(kind).AddSync(within(t), 1<<40); err != nil || total != 1<<40+0.25 {
			t.Errorf("%s: %v, %v", kind, total, err)
		}
	}
	if total, err := v.WithLabelValues("0").AddSync(within(t), 0); err != nil || math.Abs(total-1<<40-0.25) > 0 {
		t.Errorf("%v, %v", total, err)
	}
}
