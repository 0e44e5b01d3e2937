// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"fmt"
	"strings"

	shoal "github.com/shoal-metrics/shoal/core"
)

// honestNames are the families that every app declares. honestGauges are those of them
// that are per-process gauges.
var (
	honestNames = []string{
		"plain_total", "coded_total", "size", "took", "routed", "carts", "last", "scratch_total",
		"depth", "conns", "peak", "low", "mean",
	}
	honestGauges = []string{"depth", "conns", "peak", "low", "mean"}
	// selfNames are families of shoal's own.
	selfNames = []string{
		"shoal_flush_duration_seconds", "shoal_corrupt_values_total", "shoal_rejected_observations_total", "shoal_pending_batches",
		"shoal_lost_batches_total",
	}
	// otherSelfNames are shoal's other families, which are not attacked.
	otherSelfNames = []string{
		"shoal_flush_failures_total", "shoal_pending_age_seconds", "shoal_overflowed_writes_total", "shoal_gaugefunc_panics_total",
		"shoal_scrape_duration_seconds", "shoal_scrape_failures_total", "shoal_scrape_flush_failures_total",
		"shoal_omitted_families_total", "shoal_unconfirmed_scrapes_total",
	}
)

// sample is a line of a page, and by how much each event raises it.
type sample struct {
	family, series string
	each           float64
}

// summed are the samples of the metrics that add up over processes. Observed values are
// powers of two, so that sums are exact.
var summed = []sample{
	{"plain_total", `plain_total`, 1},
	{"coded_total", `coded_total{code="200",team="t"}`, 1},
	{"coded_total", `coded_total{code="500",team="t"}`, 3},
	{"size", `size_sum`, 2}, {"size", `size_count`, 1},
	{"took", `took_sum`, 4}, {"took", `took_count`, 1}, {"took", `took_bucket{le="8"}`, 1}, {"took", `took_bucket{le="1"}`, 0},
	{"routed", `routed_sum{route="/a b\"\\"}`, 0.25}, {"routed", `routed_count{route="/a b\"\\"}`, 1},
	{"carts", `carts{room="r"}`, 2},
}

// app are the metrics of one process.
type app struct {
	reg    *shoal.Registry
	plain  *shoal.Counter
	coded  *shoal.CounterVec
	size   *shoal.Summary
	took   *shoal.Histogram
	routed *shoal.HistogramVec
	carts  *shoal.GaugeVec
	last   *shoal.Gauge
	own    []*shoal.Gauge // parallel to honestGauges
	// scratch is written and deleted at random, so its contents are not checked.
	scratch *shoal.CounterVec
}

func newApp() *app {
	reg := shoal.New()
	a := &app{
		reg:   reg,
		plain: reg.NewCounter(shoal.CounterOpts{Name: "plain_total", Help: "Plain."}),
		coded: reg.NewCounterVec(shoal.CounterOpts{
			Name: "coded_total", Help: "With \"labels\"\nand a \\.", ConstLabels: shoal.Labels{"team": "t"},
		}, []string{"code"}),
		size:    reg.NewSummary(shoal.SummaryOpts{Name: "size", Help: "Size."}),
		took:    reg.NewHistogram(shoal.HistogramOpts{Name: "took", Help: "Took.", Buckets: []float64{0.5, 1, 8}}),
		routed:  reg.NewHistogramVec(shoal.HistogramOpts{Name: "routed", Help: "Routed.", Buckets: []float64{0.25, 1}}, []string{"route"}),
		carts:   reg.NewGaugeVec(shoal.GaugeOpts{Name: "carts", Help: "Carts.", Mode: shoal.Total}, []string{"room"}),
		scratch: reg.NewCounterVec(shoal.CounterOpts{Name: "scratch_total"}, []string{"x"}),
		last:    reg.NewGauge(shoal.GaugeOpts{Name: "last", Help: "Last.", Mode: shoal.Latest}),
	}
	for i, mode := range []shoal.Mode{shoal.PerProcess, shoal.Sum, shoal.Max, shoal.Min, shoal.Avg} {
		a.own = append(a.own, reg.NewGauge(shoal.GaugeOpts{Name: honestGauges[i], Help: "Own.", Mode: mode}))
	}
	return a
}

// count counts n events.
func (a *app) count(n int) {
	for range n {
		a.plain.Inc()
		a.coded.WithLabelValues("200").Inc()
		a.coded.WithLabelValues("500").Add(3)
		a.size.Observe(2)
		a.took.Observe(4)
		a.routed.WithLabelValues(`/a b"\`).Observe(0.25)
		a.carts.WithLabelValues("r").Add(2)
	}
}

// set sets all gauges to a number, except the one that all processes add to.
func (a *app) set(v float64) {
	for _, g := range a.own {
		g.Set(v)
	}
}

// wantGauges returns an error unless a page shows what two processes have set, the second
// one last. Families that are lost may be missing.
func wantGauges(p *page, one, two float64, lost map[string]bool) error {
	for series, want := range map[string]float64{
		"last": two, "conns": one + two, "peak": max(one, two), "low": min(one, two), "mean": (one + two) / 2,
	} {
		if got, ok := p.samples[series]; (!ok || got != want) && !lost[series] {
			return fmt.Errorf("%s is %v (shown: %v), want %v", series, got, ok, want)
		}
	}
	indexes := 0
	for series, got := range p.samples {
		if strings.HasPrefix(series, "depth{") {
			if indexes++; got != one && got != two && !lost["depth"] {
				return fmt.Errorf("%s is %v, want %v or %v", series, got, one, two)
			}
		}
	}
	if indexes != 2 && !lost["depth"] {
		return fmt.Errorf("%d processes show their depth, want 2", indexes)
	}
	return nil
}
