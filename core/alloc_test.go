// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
)

func TestHotPath_AllocatesNothing(t *testing.T) {
	r := New()
	labels := []string{"method", "route", "code"}
	counters := r.NewCounterVec(CounterOpts{Name: "c_total"}, labels)
	histograms := r.NewHistogramVec(HistogramOpts{Name: "h"}, labels)
	c, g := r.NewCounter(CounterOpts{Name: "plain"}), r.NewGauge(GaugeOpts{Name: "g"})
	last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
	total := r.NewGauge(GaugeOpts{Name: "total", Mode: Total})
	h, s := r.NewHistogram(HistogramOpts{Name: "d"}), r.NewSummary(SummaryOpts{Name: "s"})
	// The same for sums that are spread.
	sc, sg := r.NewCounter(CounterOpts{Name: "sc"}), r.NewGauge(GaugeOpts{Name: "sg"})
	sh, ss := r.NewHistogram(HistogramOpts{Name: "sh"}), r.NewSummary(SummaryOpts{Name: "ss"})
	sc.spread(2, nil)
	sg.spread(2, nil)
	sh.spread(2, sh.counts)
	ss.spread(2, ss.counts[:])
	counters.WithLabelValues("GET", "/users/{id}", "200")
	histograms.WithLabelValues("GET", "/users/{id}", "200")
	gets := counters.MustCurryWith(Labels{"method": "GET"})
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	eight := r.NewCounterVec(CounterOpts{Name: "eight_total"}, many).MustCurryWith(Labels{"b": "2"})
	eight.WithLabelValues("1", "3", "4", "5", "6", "7", "8")
	route := string([]byte("/users/{id}")) // not a constant
	for name, f := range map[string]func(){
		"Counter.Inc":               c.Inc,
		"Counter.Add":               func() { c.Add(0.5) },
		"Gauge.Set":                 func() { g.Set(1.5) },
		"Gauge.Add":                 func() { g.Add(1.5) },
		"Gauge.Set, Latest":         func() { last.Set(2) },
		"Gauge.Inc, Total":          total.Inc,
		"Gauge.Add, Total":          func() { total.Add(-0.5) },
		"Histogram.Observe":         func() { h.Observe(0.3) },
		"Summary.Observe":           func() { s.Observe(0.3) },
		"Counter.Inc, spread":       sc.Inc,
		"Gauge.Set, spread":         func() { sg.Set(1.5) },
		"Gauge.Inc, spread":         sg.Inc,
		"Histogram.Observe, spread": func() { sh.Observe(0.3) },
		"Summary.Observe, spread":   func() { ss.Observe(0.3) },
		"CounterVec.WithLabelValues": func() {
			counters.WithLabelValues("GET", route, "200").Inc()
		},
		"CounterVec.WithLabelValues, curried": func() {
			gets.WithLabelValues(route, "200").Inc()
		},
		"CounterVec.WithLabelValues, curried, 8 labels": func() {
			eight.WithLabelValues("1", "3", "4", "5", "6", "7", "8").Inc()
		},
		"HistogramVec.WithLabelValues": func() {
			histograms.WithLabelValues("GET", route, "200").Observe(1)
		},
	} {
		if raceDetector && strings.HasSuffix(name, "spread") {
			continue // a sync.Pool then forgets some of what is put back
		}
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
