// SPDX-License-Identifier: Apache-2.0

package shoal

import "testing"

func TestDefault_IsWhereThePackagesFunctionsDeclare(t *testing.T) {
	labels := []string{"a"}
	r := Default()
	if Default() != r {
		t.Fatal("there are two default registries")
	}
	for name, same := range map[string]bool{
		"NewCounter":   NewCounter(CounterOpts{Name: "dc"}) == r.NewCounter(CounterOpts{Name: "dc"}),
		"NewGauge":     NewGauge(GaugeOpts{Name: "dg"}) == r.NewGauge(GaugeOpts{Name: "dg"}),
		"NewSummary":   NewSummary(SummaryOpts{Name: "ds"}) == r.NewSummary(SummaryOpts{Name: "ds"}),
		"NewHistogram": NewHistogram(HistogramOpts{Name: "dh"}) == r.NewHistogram(HistogramOpts{Name: "dh"}),
		"NewCounterVec": NewCounterVec(CounterOpts{Name: "dcv"}, labels).WithLabelValues("1") ==
			r.NewCounterVec(CounterOpts{Name: "dcv"}, labels).WithLabelValues("1"),
		"NewGaugeVec": NewGaugeVec(GaugeOpts{Name: "dgv"}, labels).WithLabelValues("1") ==
			r.NewGaugeVec(GaugeOpts{Name: "dgv"}, labels).WithLabelValues("1"),
		"NewSummaryVec": NewSummaryVec(SummaryOpts{Name: "dsv"}, labels).WithLabelValues("1") ==
			r.NewSummaryVec(SummaryOpts{Name: "dsv"}, labels).WithLabelValues("1"),
		"NewHistogramVec": NewHistogramVec(HistogramOpts{Name: "dhv"}, labels).WithLabelValues("1") ==
			r.NewHistogramVec(HistogramOpts{Name: "dhv"}, labels).WithLabelValues("1"),
		"NewCounterFunc": NewCounterFunc(CounterOpts{Name: "dcf"}, func() float64 { return 1 }) ==
			r.NewCounterFunc(CounterOpts{Name: "dcf"}, func() float64 { return 2 }),
		"NewGaugeFunc": NewGaugeFunc(GaugeOpts{Name: "df"}, func() float64 { return 1 }) ==
			r.NewGaugeFunc(GaugeOpts{Name: "df"}, func() float64 { return 2 }),
	} {
		if !same {
			t.Errorf("%s declares elsewhere", name)
		}
	}
}
