// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// When Close returns, Redis has what no flush had sent before.
func TestCloseLosesNothing(t *testing.T) {
	t.Parallel()
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
	p := testkit.Scrape(t, f.reader(t))
	p.Want(t, `jobs_total{kind="a"}`, "1000", `jobs_total{kind="b"}`, "1000", `jobs_total{kind="c"}`, "1000",
		`jobs_total{kind="d"}`, "1000", "took_seconds_count", "1", "last_success", "6")
	p.WantNone(t, "depth")
	closeAll(t, reg, reg) // twice is harmless
	c.WithLabelValues("a").Inc()
	testkit.Scrape(t, f.reader(t)).Want(t, `jobs_total{kind="a"}`, "1000")
}
