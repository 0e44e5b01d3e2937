// SPDX-License-Identifier: Apache-2.0

// Package interplay_test shows how shoal and client_golang work together: the
// registry is a prometheus.Gatherer, and what client_golang collects of one
// process has its place beside it.
package interplay_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// process returns a registry of an app of the test's own on the package's server. It is closed with
// the test.
func process(t *testing.T) *shoal.Registry {
	t.Helper()
	reg := shoal.New()
	// The parent of temporary directories has the name of the test and a number of its own.
	app := filepath.Base(filepath.Dir(t.TempDir()))
	opts := shoal.Opts{App: app, Interval: 10 * time.Millisecond, Host: "h"}
	testkit.Must(t, reg.Connect(redistest.Shared(t).Client(t), opts))
	t.Cleanup(func() {
		if err := reg.Close(context.Background()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return reg
}

// shop counts something of each type.
func shop(t *testing.T, reg *shoal.Registry) {
	t.Helper()
	reg.NewCounterVec(shoal.CounterOpts{Name: "orders_total", Help: "Orders placed."},
		[]string{"currency"}).WithLabelValues("EUR").Add(3)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time that an order took.", Buckets: []float64{1, 20, 25.5}})
	h.Observe(25.5)
	h.Observe(3)
	reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes", Help: "Size of an order."}).Observe(7)
	reg.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Orders that wait."}).Set(11.5)
	testkit.Must(t, reg.Flush(t.Context()))
}

// shopPage is what [shop] makes of a page.
const shopPage = `# HELP depth Orders that wait.
# TYPE depth gauge
depth{gauge_index="0"} 11.5
# HELP orders_total Orders placed.
# TYPE orders_total counter
orders_total{currency="EUR"} 3
# HELP size_bytes Size of an order.
# TYPE size_bytes summary
size_bytes_sum 7
size_bytes_count 1
# HELP took_seconds Time that an order took.
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 0
took_seconds_bucket{le="20"} 1
took_seconds_bucket{le="25.5"} 2
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 28.5
took_seconds_count 2
`

var shopNames = []string{"depth", "orders_total", "size_bytes", "took_seconds"}
