// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
)

// labelled is what every vector offers.
type labelled[M any] interface {
	WithLabelValues(values ...string) *M
	GetMetricWithLabelValues(values ...string) (*M, error)
	With(labels shoal.Labels) *M
	GetMetricWith(labels shoal.Labels) (*M, error)
}

func TestLabels_MissingAndSurplusOnesAreRefusedOnEveryTypeAndForm(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	names := []string{"method", "code"}
	t.Run("counter", func(t *testing.T) {
		refusesWrongLabels(t, reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, names))
	})
	t.Run("gauge", func(t *testing.T) {
		refusesWrongLabels(t, reg.NewGaugeVec(shoal.GaugeOpts{Name: "g"}, names))
	})
	t.Run("summary", func(t *testing.T) {
		refusesWrongLabels(t, reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, names))
	})
	t.Run("histogram", func(t *testing.T) {
		refusesWrongLabels(t, reg.NewHistogramVec(shoal.HistogramOpts{Name: "h"}, names))
	})
	flush(t, reg)
	p := scrape(t, reg)
	for _, name := range []string{"c_total", "g", "s_", "h_"} {
		if err := p.lacks(name); err != nil {
			t.Errorf("what was refused left something: %v", err)
		}
	}
}

func refusesWrongLabels[M any](t *testing.T, v labelled[M]) {
	t.Helper()
	for _, values := range [][]string{nil, {"GET"}, {"GET", "200", "more"}} {
		if _, err := v.GetMetricWithLabelValues(values...); err == nil {
			t.Errorf("GetMetricWithLabelValues(%q) is accepted", values)
		}
		panics(t, func() { v.WithLabelValues(values...) })
	}
	for _, labels := range []shoal.Labels{
		nil, {"method": "GET"}, {"method": "GET", "Code": "200"},
		{"method": "GET", "code": "200", "host": "x"},
	} {
		if _, err := v.GetMetricWith(labels); err == nil {
			t.Errorf("GetMetricWith(%v) is accepted", labels)
		}
		panics(t, func() { v.With(labels) })
	}
}

func panics(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func TestLabels_AChildUsedAgainStaysTheSameSeries(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	labels := shoal.Labels{"route": "/a"}
	h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h", Buckets: []float64{1}}, []string{"route"}).With(labels)
	s := reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, []string{"route"}).With(labels)
	labels["route"] = "/b" // the caller's map is the caller's
	for range 3 {
		if err := h.ObserveSync(within(t), 1); err != nil {
			t.Fatal(err)
		}
		if err := s.ObserveSync(within(t), 2); err != nil {
			t.Fatal(err)
		}
	}
	p := scrape(t, f.process(t))
	p.want(t, `h_bucket{route="/a",le="1"}`, "3", `h_bucket{route="/a",le="+Inf"}`, "3",
		`h_sum{route="/a"}`, "3", `h_count{route="/a"}`, "3",
		`s_sum{route="/a"}`, "6", `s_count{route="/a"}`, "3")
	if lines := append(p.of("h_"), p.of("s_")...); len(lines) != 6 {
		t.Errorf("the page shows more than the two series: %q", lines)
	}
}

// A duplicate line would fail the page's own check.
func TestLabels_EqualOnesOfTwoProcessesAreOneSeries(t *testing.T) {
	f := newFleet(t)
	opts := shoal.CounterOpts{Name: "orders_total", ConstLabels: shoal.Labels{"shop": "a"}}
	one, two := f.process(t), f.process(t)
	one.NewCounterVec(opts, []string{"currency", "code"}).WithLabelValues("EUR", "1").Inc()
	two.NewCounterVec(opts, []string{"code", "currency"}).WithLabelValues("1", "EUR").Inc()
	// An empty value is no label: the third is the same series again.
	three := f.process(t)
	three.NewCounterVec(opts, []string{"code", "currency", "gone"}).WithLabelValues("1", "EUR", "").Inc()
	flush(t, one, two, three)
	p := scrape(t, one)
	p.want(t, `orders_total{code="1",currency="EUR",shop="a"}`, "3")
	if lines := p.of("orders_total"); len(lines) != 1 {
		t.Errorf("several series: %q", lines)
	}
}

func TestLabels_AnyTextComesOutAsItWentIn(t *testing.T) {
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	opts := shoal.CounterOpts{Name: "texts_total", Help: "A \\ and a\nnewline and \"quotes\"."}
	v := reg.NewCounterVec(opts, []string{"text"})
	for _, text := range []string{`say "hi"`, `back\slash`, "two\nlines", "tab\tand\rreturn", "ünï ©ödé 🐟", "{a=\"b\"}", " ", "\x00", "%s"} {
		v.WithLabelValues(text).Inc()
	}
	flush(t, reg)
	p := scrape(t, other)
	p.want(t, `texts_total{text="say \"hi\""}`, "1", `texts_total{text="back\\slash"}`, "1",
		`texts_total{text="two\nlines"}`, "1", "texts_total{text=\"tab\tand\rreturn\"}", "1",
		`texts_total{text="ünï ©ödé 🐟"}`, "1", `texts_total{text="{a=\"b\"}"}`, "1",
		`texts_total{text=" "}`, "1", "texts_total{text=\"\x00\"}", "1", `texts_total{text="%s"}`, "1")
	if !strings.Contains(p.text, "# HELP texts_total A \\\\ and a\\nnewline and \"quotes\".\n") {
		t.Errorf("the help text is not escaped:\n%s", p.users())
	}
}

// The promise that no bad input spreads, as far as labels go: what one process
// makes of a hostile request is invisible to the others.
func TestNoBadInputSpreads_LabelValues(t *testing.T) {
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "agents_total"}, []string{"agent"})
	v.WithLabelValues("bad \xff\xfe bytes").Inc()
	v.WithLabelValues("\xff").Inc()
	v.WithLabelValues("\xc3").Inc()
	v.WithLabelValues(strings.Repeat("ä", 5000)).Inc()
	flush(t, reg)
	p := scrape(t, other)
	p.want(t, `agents_total{agent="bad � bytes"}`, "1", `agents_total{agent="�"}`, "2",
		`agents_total{agent="`+strings.Repeat("ä", 512)+`"}`, "1",
		`shoal_rejected_observations_total{reason="invalid_utf8"}`, "3",
		`shoal_rejected_observations_total{reason="label_too_long"}`, "1")
}
