// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// lossesOf is how many lost batches the page shows, of all processes.
func lossesOf(t *testing.T, r *Registry) (sum float64) {
	t.Helper()
	flush(t, r)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "shoal_lost_batches_total" {
			for _, m := range f.Metric {
				sum += m.Counter.GetValue()
			}
		}
	}
	return sum
}

// None of these is a loss: what shoal counts of itself, zeros that only show a series, and
// gauges, which are sent again.
func TestLosses_NothingOfTheUsersIsLostThatWasNotCounted(t *testing.T) {
	for _, how := range []string{"wiped", "values lost", "registrations lost", "stepped back"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, heard := memstore.New(), new(troubles)
				r := process(t, server, Opts{OnError: heard.add})
				r.NewCounter(CounterOpts{Name: "zero_total"})
				r.NewHistogram(HistogramOpts{Name: "zero_seconds"})
				r.NewSummary(SummaryOpts{Name: "zero_bytes"})
				r.NewGauge(GaugeOpts{Name: "now"}).Set(5)
				r.NewGauge(GaugeOpts{Name: "last", Mode: Latest}).Set(6)
				elapse(20 * time.Second)
				old := server.Snapshot()
				get(t, r.Handler(HandlerOpts{}), nil)
				elapse(20 * time.Second)
				app, err := server.Store("shop").ReadApp(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				switch how {
				case "wiped":
					server.Wipe()
				case "stepped back":
					elapse(keepFor) // shoal's own batches since then are kept no more
					server.Restore(old)
				}
				for _, f := range app.Families {
					switch how {
					case "values lost":
						server.LoseValues("shop", f)
					case "registrations lost":
						server.LoseControl("shop", f)
					}
				}
				elapse(2 * DefRefreshPeriod)
				scrape(t, r).want(t, samples{"zero_total": 0, "last": 6, `now{gauge_index="0"}`: 5})
				if n := lossesOf(t, r); n != 0 || heard.count("lost (") != 0 {
					t.Errorf("%v batches counted as lost, heard %v", n, heard.all())
				}
			})
		})
	}
}

func TestLosses_AreToldOnceAndNameTheUsersMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, heard := memstore.New(), new(troubles)
		r := process(t, server, Opts{OnError: heard.add})
		r.NewCounter(CounterOpts{Name: "zero_total"})
		orders := r.NewCounter(CounterOpts{Name: "orders_total"})
		orders.Add(3)
		r.NewHistogram(HistogramOpts{Name: "took_seconds"}).Observe(1)
		elapse(5 * time.Second)
		orders.Add(4)
		elapse(20 * time.Second)
		server.Wipe()
		elapse(2 * DefRefreshPeriod)
		if n := lossesOf(t, r); n != 3 {
			t.Errorf("%v batches counted as lost, want 3", n)
		}
		if heard.count("lost (wiped): 3 batches of orders_total, took_seconds") != 1 || heard.count("lost (") != 1 {
			t.Errorf("heard %v", heard.all())
		}

		for i := range 9 {
			r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", i)}).Inc()
		}
		elapse(2 * time.Minute)
		server.Wipe()
		elapse(2 * DefRefreshPeriod)
		if heard.count("lost (wiped): 9 batches of c0_total, c1_total, c2_total, c3_total, c4_total and 4 more metrics") != 1 {
			t.Errorf("heard %v", heard.all())
		}
	})
}
