// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// The cap of series holds for all processes together, also where each stays below it, and
// no count is lost.
func TestCap_HoldsForTheFleetWithOneOverflowSeries(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	const limit, processes, each = 10, 4, 8
	limited := func(o *shoal.Opts) { o.SeriesLimit = limit }
	var regs []*shoal.Registry
	for i := range processes {
		reg := f.process(t, limited)
		c := reg.NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path", "code"})
		h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}, []string{"path"})
		for k := range each {
			path := fmt.Sprintf("/%d/%d", i, k)
			c.WithLabelValues(path, "200").Add(2)
			h.WithLabelValues(path).Observe(0.5)
		}
		flush(t, reg)
		regs = append(regs, reg)
	}
	p := testkit.Scrape(t, regs[0])
	if series, total := p.Of("paths_total"), p.Sum("paths_total"); len(series) != limit+1 || total != 2*processes*each {
		t.Errorf("%d series with %v in total, want %d with %d: %q", len(series), total, limit+1, 2*processes*each, series)
	}
	const spare = processes*each - limit
	p.Want(t, `paths_total{code="shoal_overflow",path="shoal_overflow"}`, fmt.Sprint(2*spare),
		`took_seconds_count{path="shoal_overflow"}`, fmt.Sprint(spare),
		`took_seconds_bucket{path="shoal_overflow",le="1"}`, fmt.Sprint(spare))
	if n := len(p.Of("took_seconds_count")); n != limit+1 {
		t.Errorf("%d histograms, want %d", n, limit+1)
	}
	// Existing series go on, and what other processes add to them counts.
	c := regs[3].NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path", "code"})
	c.WithLabelValues("/0/0", "200").Inc()
	flush(t, regs[3])
	p = testkit.Scrape(t, regs[1])
	p.Want(t, `paths_total{code="200",path="/0/0"}`, "3")
	if v, ok := p.Value(`shoal_overflowed_writes_total{family="paths_total"}`); !ok || v == 0 {
		t.Error("no self-metric tells of the overflow")
	}
}

// After a deletion there is room for new series.
func TestCap_DeletingMakesRoom(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = 2 })
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path"})
	for _, path := range []string{"a", "b", "c"} {
		v.WithLabelValues(path).Inc()
	}
	flush(t, reg)
	v.Reset()
	v.WithLabelValues("d").Add(4)
	flush(t, reg)
	p := testkit.Scrape(t, reg)
	p.Want(t, `paths_total{path="d"}`, "4")
	p.WantSamples(t, "paths_total", 1)
}
