// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestDefinition_RefusesWhatNoPageMayShow(t *testing.T) {
	badUTF8 := "caf\xe9"
	tests := []struct {
		name    string
		declare func(r *Registry) error
		words   []string
	}{
		{"empty name", counter(CounterOpts{Name: ""}), []string{"counter", "CounterOpts.Name is empty"}},
		{"a counter's namespace alone", counter(CounterOpts{Namespace: "shop"}), []string{`counter "shop"`, "CounterOpts.Name is empty"}},
		{"a gauge's subsystem alone", gauge(GaugeOpts{Subsystem: "web"}, "code"), []string{`gauge "web"`, "GaugeOpts.Name is empty"}},
		{"a summary's both alone", summary(SummaryOpts{Namespace: "shop", Subsystem: "web"}), []string{`summary "shop_web"`, "SummaryOpts.Name is empty"}},
		{"a histogram's namespace alone", histogram(HistogramOpts{Namespace: "shop"}, "code"), []string{`histogram "shop"`, "HistogramOpts.Name is empty"}},
		{"a gauge function's namespace alone", func(r *Registry) error {
			_, err := r.RegisterGaugeFunc(GaugeOpts{Namespace: "shop"}, func() float64 { return 1 })
			return err
		}, []string{`gauge "shop"`, "GaugeOpts.Name is empty"}},
		{"a name of spaces", counter(CounterOpts{Name: " "}), []string{`" "`, "not a metric name"}},
		{"a space after the name", counter(CounterOpts{Name: "a_total "}), []string{"not a metric name"}},
		{"a namespace of spaces", counter(CounterOpts{Namespace: " ", Name: "a_total"}), []string{"not a metric name"}},
		{"a width of 0", buckets(LinearBuckets(1, 0, 3)...), []string{"ascend"}},
		{"a falling width", buckets(LinearBuckets(1, -1, 3)...), []string{"ascend"}},
		{"a width of NaN", buckets(LinearBuckets(1, math.NaN(), 3)...), []string{"ascend"}},
		{"a factor of NaN", buckets(ExponentialBuckets(1, math.NaN(), 3)...), []string{"ascend"}},
		{"digit first", counter(CounterOpts{Name: "9lives"}), []string{`"9lives"`, "no digit first"}},
		{"dash", counter(CounterOpts{Name: "a-b"}), []string{`"a-b"`}},
		{"not ASCII", counter(CounterOpts{Name: "größe"}), []string{"größe"}},
		{"brace", counter(CounterOpts{Name: "a{b}"}), []string{"a{b}"}},
		{"newline", counter(CounterOpts{Name: "a\nb"}), []string{"not a metric name"}},
		{"shoal's own prefix", counter(CounterOpts{Name: "shoal_things_total"}), []string{"shoal_", "reserved"}},
		{"help", counter(CounterOpts{Name: "a", Help: badUTF8}), []string{"help", "UTF-8"}},
		{"bad label name", counter(CounterOpts{Name: "a"}, "my-label"), []string{`"my-label"`, "not a label name"}},
		{"colon in a label name", counter(CounterOpts{Name: "a"}, "my:label"), []string{"not a label name"}},
		{"empty label name", counter(CounterOpts{Name: "a"}, ""), []string{"not a label name"}},
		{"le", histogram(HistogramOpts{Name: "a"}, "le"), []string{`"le"`, "reserved"}},
		{"le, constant", histogram(HistogramOpts{Name: "a", ConstLabels: Labels{"le": "1"}}), []string{`"le"`, "reserved"}},
		{"quantile", summary(SummaryOpts{Name: "a"}, "quantile"), []string{`"quantile"`, "reserved"}},
		{"gauge_index", counter(CounterOpts{Name: "a"}, "gauge_index"), []string{"reserved"}},
		{"two underscores", counter(CounterOpts{Name: "a"}, "__name__"), []string{"reserved"}},
		{"twice", counter(CounterOpts{Name: "a"}, "a", "b", "a"), []string{`"a"`, "twice"}},
		{"twice with a constant", counter(CounterOpts{Name: "a", ConstLabels: Labels{"zone": "1"}}, "zone"), []string{`"zone"`, "twice"}},
		{"reserved constant label", gauge(GaugeOpts{Name: "a", ConstLabels: Labels{"gauge_index": "1"}}), []string{"gauge", "reserved"}},
		{"constant label's value", summary(SummaryOpts{Name: "a", ConstLabels: Labels{"x": badUTF8}}), []string{"summary", "x", "UTF-8"}},
		{"gauge mode", gauge(GaugeOpts{Name: "a", Mode: "median"}), []string{`"median"`, "Latest"}},
		{"negative expiry", gauge(GaugeOpts{Name: "a", Expire: -time.Second}), []string{"Expire", "-1s"}},
		{"falling bounds", buckets(1, 3, 2), []string{"ascend"}},
		{"equal bounds", buckets(1, 1), []string{"ascend"}},
		{"zeros of both signs", buckets(math.Copysign(0, -1), 0), []string{"ascend"}},
		{"NaN bound", buckets(1, math.NaN()), []string{"finite"}},
		{"-Inf bound", buckets(math.Inf(-1), 1), []string{"finite"}},
		{"+Inf in the middle", buckets(1, math.Inf(1), 2), []string{"finite"}},
		{"no function", func(r *Registry) error {
			_, err := r.RegisterGaugeFunc(GaugeOpts{Name: "a"}, nil)
			return err
		}, []string{`"a"`, "nil"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New()
			before := len(*r.families.Load())
			mentions(t, tt.declare(r), append(tt.words, "shoal: ")...)
			if n := len(*r.families.Load()); n != before {
				t.Error("the refused metric was declared all the same")
			}
		})
	}
}

// declaration declares a metric, with labels if there are any.
type declaration func(r *Registry) error

func counter(opts CounterOpts, labels ...string) declaration {
	return func(r *Registry) error { _, err := r.RegisterCounterVec(opts, labels); return err }
}

func gauge(opts GaugeOpts, labels ...string) declaration {
	return func(r *Registry) error { _, err := r.RegisterGaugeVec(opts, labels); return err }
}

func summary(opts SummaryOpts, labels ...string) declaration {
	return func(r *Registry) error { _, err := r.RegisterSummaryVec(opts, labels); return err }
}

func histogram(opts HistogramOpts, labels ...string) declaration {
	return func(r *Registry) error { _, err := r.RegisterHistogramVec(opts, labels); return err }
}

func buckets(bounds ...float64) declaration {
	return histogram(HistogramOpts{Name: "a", Buckets: bounds})
}

func TestDefinition_TakesWhatIsOddButRight(t *testing.T) {
	r := New()
	r.NewCounter(CounterOpts{Namespace: "a", Subsystem: "b", Name: "c_total"})
	if r.byName["a_b_c_total"] == nil {
		t.Error("namespace, subsystem and name were not joined by underscores")
	}
	r.NewCounter(CounterOpts{Name: "job:rate:sum"})
	r.NewCounterVec(CounterOpts{Name: "_", Help: "Zeilen\n\"und\" mehr"}, []string{"_", "A1"})
	// le and quantile mean something only in a histogram's and a summary's series.
	r.NewCounterVec(CounterOpts{Name: "b_total"}, []string{"le", "quantile"})
	r.NewGaugeVec(GaugeOpts{Name: "b_celsius", ConstLabels: Labels{"le": "1"}}, []string{"quantile"})
	r.NewHistogramVec(HistogramOpts{Name: "b_seconds"}, []string{"quantile"})
	r.NewSummaryVec(SummaryOpts{Name: "b_bytes"}, []string{"le"})
	h := r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{-1, math.Copysign(0, -1), 1, math.Inf(1)}})
	if got := h.consts.fam.bounds; strings.Join(got, " ") != "-1 0 1 +Inf" {
		t.Errorf("bounds %q: a given +Inf or a negative zero was not normalised", got)
	}
}

func TestDefinition_DeclaredAgainIsTheSameMetric(t *testing.T) {
	r := New()
	labels := []string{"a", "b"}
	opts := CounterOpts{Name: "c_total", Help: "h", ConstLabels: Labels{"x": "1", "y": "2"}}
	first := r.NewCounterVec(opts, labels)
	labels[0] = "changed by the caller later"
	second := r.NewCounterVec(CounterOpts{Name: "c_total", Help: "h", ConstLabels: Labels{"y": "2", "x": "1"}}, []string{"a", "b"})
	if first.WithLabelValues("1", "2") != second.WithLabelValues("1", "2") {
		t.Error("the second declaration has children of its own")
	}
	if r.NewGauge(GaugeOpts{Name: "g"}) != r.NewGauge(GaugeOpts{Name: "g", Expire: DefExpire}) {
		t.Error("a default written out makes another gauge")
	}
	if r.NewHistogram(HistogramOpts{Name: "h"}) != r.NewHistogram(HistogramOpts{Name: "h", Buckets: DefBuckets}) {
		t.Error("the default buckets written out make another histogram")
	}
	if r.NewSummary(SummaryOpts{Name: "s"}) != r.NewSummary(SummaryOpts{Name: "s"}) {
		t.Error("a summary declared twice is two")
	}
}

func TestDefinition_TheErrorOfAClashShowsBoth(t *testing.T) {
	base := GaugeOpts{Name: "g", Help: "first"}
	tests := []struct {
		name  string
		other func(r *Registry) error
		words []string
	}{
		{"type", counter(CounterOpts{Name: "g"}), []string{"gauge g", "counter g"}},
		{"help", gauge(GaugeOpts{Name: "g", Help: "second"}), []string{"first", "second"}},
		{"labels", gauge(base, "room"), []string{`"room"`}},
		{"mode", gauge(GaugeOpts{Name: "g", Help: "first", Mode: Max}), []string{"mode max"}},
		{"expiry", gauge(GaugeOpts{Name: "g", Help: "first", Expire: time.Hour}), []string{"1m0s", "1h0m0s"}},
		{"constant label", gauge(GaugeOpts{Name: "g", Help: "first", ConstLabels: Labels{"zone": "b"}}), []string{`zone="b"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New()
			r.NewGauge(base)
			err := tt.other(r)
			var clash *DefinitionError
			if !errors.As(err, &clash) {
				t.Fatalf("%v is no DefinitionError", err)
			}
			mentions(t, err, append(tt.words, clash.Existing, clash.Requested)...)
			if clash.Existing == clash.Requested {
				t.Error("the two definitions look the same")
			}
		})
	}
	r := New()
	r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{1, 2}})
	_, err := r.RegisterHistogram(HistogramOpts{Name: "h", Buckets: []float64{1, 3}})
	mentions(t, err, "[1 2]", "[1 3]")
}

func TestDefinition_NamesOfSamplesHaveOneOwner(t *testing.T) {
	type declare = func(name string) declaration
	counter := func(name string) declaration { return counter(CounterOpts{Name: name}) }
	gauge := func(name string) declaration { return gauge(GaugeOpts{Name: name}) }
	summary := func(name string) declaration { return summary(SummaryOpts{Name: name}) }
	histogram := func(name string) declaration { return histogram(HistogramOpts{Name: name}) }
	tests := []struct {
		first    declare
		name     string
		second   declare
		other    string
		accepted bool
	}{
		{histogram, "x", counter, "x_bucket", false},
		{histogram, "x", counter, "x_sum", false},
		{histogram, "x", gauge, "x_count", false},
		{histogram, "x", gauge, "x_created", true},
		{summary, "x", counter, "x_sum", false},
		{summary, "x", counter, "x_count", false},
		{summary, "x", counter, "x_created", true},
		{summary, "x", counter, "x_bucket", true},
		{counter, "x_total", gauge, "x", true},
		{counter, "x_total", histogram, "x", true},
		{counter, "x_total", gauge, "x_created", true},
		{counter, "x", gauge, "x_total", true}, // OpenMetrics calls such a counter unknown
		{counter, "x", gauge, "x_count", true},
		{counter, "x", counter, "x_total", true},
		{gauge, "x", gauge, "x_total", true},
		{histogram, "x", counter, "x_total", true},
		{histogram, "x_seconds", counter, "x_total", true},
		{gauge, "x_sum", counter, "x_count", true},
	}
	for _, tt := range tests {
		for _, swapped := range []bool{false, true} {
			r := New()
			first, second := tt.first(tt.name), tt.second(tt.other)
			if swapped {
				first, second = second, first
			}
			if err := first(r); err != nil {
				t.Fatal(err)
			}
			err := second(r)
			switch {
			case tt.accepted && err != nil:
				t.Errorf("%s beside %s: %v", tt.other, tt.name, err)
			case !tt.accepted:
				mentions(t, err, tt.name, tt.other, "rename")
			}
		}
	}
}

func TestDeclare_NewPanicsWhereRegisterReturnsAnError(t *testing.T) {
	bad := "not a name"
	tests := map[string]func(r *Registry){
		"NewCounter":      func(r *Registry) { r.NewCounter(CounterOpts{Name: bad}) },
		"NewCounterVec":   func(r *Registry) { r.NewCounterVec(CounterOpts{Name: bad}, nil) },
		"NewGauge":        func(r *Registry) { r.NewGauge(GaugeOpts{Name: bad}) },
		"NewGaugeVec":     func(r *Registry) { r.NewGaugeVec(GaugeOpts{Name: bad}, nil) },
		"NewGaugeFunc":    func(r *Registry) { r.NewGaugeFunc(GaugeOpts{Name: bad}, func() float64 { return 0 }) },
		"NewSummary":      func(r *Registry) { r.NewSummary(SummaryOpts{Name: bad}) },
		"NewSummaryVec":   func(r *Registry) { r.NewSummaryVec(SummaryOpts{Name: bad}, nil) },
		"NewHistogram":    func(r *Registry) { r.NewHistogram(HistogramOpts{Name: bad}) },
		"NewHistogramVec": func(r *Registry) { r.NewHistogramVec(HistogramOpts{Name: bad}, nil) },
	}
	for name, declare := range tests {
		if message := mustPanic(t, func() { declare(New()) }); !strings.Contains(message, bad) {
			t.Errorf("%s panics with %q, which does not name the metric", name, message)
		}
	}
}
