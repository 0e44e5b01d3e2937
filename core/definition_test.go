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
		{"empty name", counterNamed(""), []string{"counter", "CounterOpts.Name is empty"}},
		{"a counter's namespace alone", func(r *Registry) error {
			_, err := r.RegisterCounter(CounterOpts{Namespace: "shop"})
			return err
		}, []string{`counter "shop"`, "CounterOpts.Name is empty"}},
		{"a gauge's subsystem alone", func(r *Registry) error {
			_, err := r.RegisterGaugeVec(GaugeOpts{Subsystem: "web"}, []string{"code"})
			return err
		}, []string{`gauge "web"`, "GaugeOpts.Name is empty"}},
		{"a summary's both alone", func(r *Registry) error {
			_, err := r.RegisterSummary(SummaryOpts{Namespace: "shop", Subsystem: "web"})
			return err
		}, []string{`summary "shop_web"`, "SummaryOpts.Name is empty"}},
		{"a histogram's namespace alone", func(r *Registry) error {
			_, err := r.RegisterHistogramVec(HistogramOpts{Namespace: "shop"}, []string{"code"})
			return err
		}, []string{`histogram "shop"`, "HistogramOpts.Name is empty"}},
		{"a gauge function's namespace alone", func(r *Registry) error {
			_, err := r.RegisterGaugeFunc(GaugeOpts{Namespace: "shop"}, func() float64 { return 1 })
			return err
		}, []string{`gauge "shop"`, "GaugeOpts.Name is empty"}},
		{"a name of spaces", counterNamed(" "), []string{`" "`, "not a metric name"}},
		{"a space after the name", counterNamed("a_total "), []string{"not a metric name"}},
		{"a namespace of spaces", func(r *Registry) error {
			_, err := r.RegisterCounter(CounterOpts{Namespace: " ", Name: "a_total"})
			return err
		}, []string{"not a metric name"}},
		{"a width of 0", histogramOf(LinearBuckets(1, 0, 3)...), []string{"ascend"}},
		{"a falling width", histogramOf(LinearBuckets(1, -1, 3)...), []string{"ascend"}},
		{"a width of NaN", histogramOf(LinearBuckets(1, math.NaN(), 3)...), []string{"ascend"}},
		{"a factor of NaN", histogramOf(ExponentialBuckets(1, math.NaN(), 3)...), []string{"ascend"}},
		{"digit first", counterNamed("9lives"), []string{`"9lives"`, "no digit first"}},
		{"dash", counterNamed("a-b"), []string{`"a-b"`}},
		{"not ASCII", counterNamed("größe"), []string{"größe"}},
		{"brace", counterNamed("a{b}"), []string{"a{b}"}},
		{"newline", counterNamed("a\nb"), []string{"not a metric name"}},
		{"shoal's own prefix", counterNamed("shoal_things_total"), []string{"shoal_", "reserved"}},
		{"help", func(r *Registry) error {
			_, err := r.RegisterCounter(CounterOpts{Name: "a", Help: badUTF8})
			return err
		}, []string{"help", "UTF-8"}},
		{"bad label name", counterWith("my-label"), []string{`"my-label"`, "not a label name"}},
		{"colon in a label name", counterWith("my:label"), []string{"not a label name"}},
		{"empty label name", counterWith(""), []string{"not a label name"}},
		{"le", counterWith("le"), []string{`"le"`, "reserved"}},
		{"quantile", counterWith("quantile"), []string{"reserved"}},
		{"gauge_index", counterWith("gauge_index"), []string{"reserved"}},
		{"two underscores", counterWith("__name__"), []string{"reserved"}},
		{"twice", counterWith("a", "b", "a"), []string{`"a"`, "twice"}},
		{"twice with a constant", func(r *Registry) error {
			_, err := r.RegisterCounterVec(CounterOpts{Name: "a", ConstLabels: Labels{"zone": "1"}}, []string{"zone"})
			return err
		}, []string{`"zone"`, "twice"}},
		{"reserved constant label", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "a", ConstLabels: Labels{"gauge_index": "1"}})
			return err
		}, []string{"gauge", "reserved"}},
		{"constant label's value", func(r *Registry) error {
			_, err := r.RegisterSummary(SummaryOpts{Name: "a", ConstLabels: Labels{"x": badUTF8}})
			return err
		}, []string{"summary", "x", "UTF-8"}},
		{"gauge mode", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "a", Mode: "median"})
			return err
		}, []string{`"median"`, "Latest"}},
		{"negative expiry", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "a", Expire: -time.Second})
			return err
		}, []string{"Expire", "-1s"}},
		{"falling bounds", histogramOf(1, 3, 2), []string{"ascend"}},
		{"equal bounds", histogramOf(1, 1), []string{"ascend"}},
		{"zeros of both signs", histogramOf(math.Copysign(0, -1), 0), []string{"ascend"}},
		{"NaN bound", histogramOf(1, math.NaN()), []string{"finite"}},
		{"-Inf bound", histogramOf(math.Inf(-1), 1), []string{"finite"}},
		{"+Inf in the middle", histogramOf(1, math.Inf(1), 2), []string{"finite"}},
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

func counterNamed(name string) func(*Registry) error {
	return func(r *Registry) error {
		_, err := r.RegisterCounter(CounterOpts{Name: name})
		return err
	}
}

func counterWith(labels ...string) func(*Registry) error {
	return func(r *Registry) error {
		_, err := r.RegisterCounterVec(CounterOpts{Name: "a"}, labels)
		return err
	}
}

func histogramOf(bounds ...float64) func(*Registry) error {
	return func(r *Registry) error {
		_, err := r.RegisterHistogram(HistogramOpts{Name: "a", Buckets: bounds})
		return err
	}
}

func TestDefinition_TakesWhatIsOddButRight(t *testing.T) {
	r := New()
	r.NewCounter(CounterOpts{Namespace: "a", Subsystem: "b", Name: "c_total"})
	if r.byName["a_b_c_total"] == nil {
		t.Error("namespace, subsystem and name were not joined by underscores")
	}
	r.NewCounter(CounterOpts{Name: "job:rate:sum"})
	r.NewCounterVec(CounterOpts{Name: "_", Help: "Zeilen\n\"und\" mehr"}, []string{"_", "A1"})
	h := r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{-1, math.Copysign(0, -1), 1, math.Inf(1)}})
	if got := h.consts.fam.bounds; strings.Join(got, " ") != "-1 0 1 +Inf" {
		t.Errorf("bounds %q: a given +Inf or a negative zero was not normalised", got)
	}
}

func TestDefinition_TheSameAgainIsTheFirst(t *testing.T) {
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

func TestDefinition_AnotherUnderTheSameNameShowsBoth(t *testing.T) {
	base := GaugeOpts{Name: "g", Help: "first"}
	tests := []struct {
		name  string
		other func(r *Registry) error
		words []string
	}{
		{"type", counterNamed("g"), []string{"gauge g", "counter g"}},
		{"help", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "g", Help: "second"})
			return err
		}, []string{"first", "second"}},
		{"labels", func(r *Registry) error {
			_, err := r.RegisterGaugeVec(base, []string{"room"})
			return err
		}, []string{`"room"`}},
		{"mode", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "g", Help: "first", Mode: Max})
			return err
		}, []string{"mode max"}},
		{"expiry", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "g", Help: "first", Expire: time.Hour})
			return err
		}, []string{"1m0s", "1h0m0s"}},
		{"constant label", func(r *Registry) error {
			_, err := r.RegisterGauge(GaugeOpts{Name: "g", Help: "first", ConstLabels: Labels{"zone": "b"}})
			return err
		}, []string{`zone="b"`}},
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
	type declare = func(r *Registry, name string) error
	counter := func(r *Registry, name string) error { _, err := r.RegisterCounter(CounterOpts{Name: name}); return err }
	gauge := func(r *Registry, name string) error { _, err := r.RegisterGauge(GaugeOpts{Name: name}); return err }
	summary := func(r *Registry, name string) error { _, err := r.RegisterSummary(SummaryOpts{Name: name}); return err }
	histogram := func(r *Registry, name string) error {
		_, err := r.RegisterHistogram(HistogramOpts{Name: name})
		return err
	}
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
		{histogram, "x", gauge, "x_created", false},
		{summary, "x", counter, "x_sum", false},
		{summary, "x", counter, "x_count", false},
		{summary, "x", counter, "x_created", false},
		{summary, "x", counter, "x_bucket", true},
		{counter, "x_total", gauge, "x", false},
		{counter, "x_total", histogram, "x", false},
		{counter, "x_total", gauge, "x_created", false},
		{counter, "x", gauge, "x_total", true}, // OpenMetrics calls such a counter unknown
		{counter, "x", gauge, "x_count", true},
		{counter, "x", counter, "x_total", false},
		{gauge, "x", gauge, "x_total", true},
		{histogram, "x", counter, "x_total", false},
		{histogram, "x_seconds", counter, "x_total", true},
		{gauge, "x_sum", counter, "x_count", true},
	}
	for _, tt := range tests {
		for _, swapped := range []bool{false, true} {
			r := New()
			first, name, second, other := tt.first, tt.name, tt.second, tt.other
			if swapped {
				first, name, second, other = second, other, first, name
			}
			if err := first(r, name); err != nil {
				t.Fatal(err)
			}
			err := second(r, other)
			if tt.accepted {
				if err != nil {
					t.Errorf("%s beside %s: %v", other, name, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s beside %s was accepted", other, name)
				continue
			}
			mentions(t, err, name, other, "rename")
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
