// SPDX-License-Identifier: Apache-2.0

package interplay_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
)

// bounds returns the bits of what f returns, or that it panics.
func bounds(f func() []float64) (bits []uint64, panics bool) {
	defer func() { panics = recover() != nil }()
	for _, b := range f() {
		bits = append(bits, math.Float64bits(b))
	}
	return bits, false
}

// A program that migrates from client_golang keeps its le labels.
func TestBuckets_AreClientGolangsBitForBit(t *testing.T) {
	same := func(start, step float64, count int) {
		t.Helper()
		for name, f := range map[string][2]func(float64, float64, int) []float64{
			"LinearBuckets":           {shoal.LinearBuckets, prometheus.LinearBuckets},
			"ExponentialBuckets":      {shoal.ExponentialBuckets, prometheus.ExponentialBuckets},
			"ExponentialBucketsRange": {shoal.ExponentialBucketsRange, prometheus.ExponentialBucketsRange},
		} {
			ours, panics := bounds(func() []float64 { return f[0](start, step, count) })
			theirs, theyPanic := bounds(func() []float64 { return f[1](start, step, count) })
			if panics != theyPanic || !slices.Equal(ours, theirs) {
				t.Errorf("%s(%v, %v, %d): %x, panic: %v; client_golang's are %x, panic: %v",
					name, start, step, count, ours, panics, theirs, theyPanic)
			}
		}
	}
	odd := []float64{0.1, 0, math.Copysign(0, -1), 1, 1.1, -1, 5e-324, 1e-300, 1e300, math.MaxFloat64, 1e16,
		math.Inf(1), math.Inf(-1), math.NaN()}
	for _, start := range odd {
		for _, step := range odd {
			for _, count := range []int{-1, 0, 1, 2, 20} {
				same(start, step, count)
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		same(rng.NormFloat64(), rng.ExpFloat64(), rng.IntN(100))
	}
	if !slices.Equal(shoal.DefBuckets, prometheus.DefBuckets) {
		t.Errorf("the default bounds are %v, client_golang's %v", shoal.DefBuckets, prometheus.DefBuckets)
	}
}

// If a match names only labels that the metric has, both libraries delete the same.
func TestDeletions_HitWhatClientGolangsHit(t *testing.T) {
	names := []string{"code", "method"}
	sets := [][]string{{"200", "GET"}, {"200", "POST"}, {"500", "GET"}, {"", "GET"}, {"200", ""}}
	consts := prometheus.Labels{"server": "public"}
	for _, match := range []map[string]string{
		nil, {}, {"code": "200"}, {"code": "200", "method": "GET"}, {"code": "404"}, {"code": ""}, {"method": ""},
		{"nosuch": ""}, {"nosuch": "1"}, {"nosuch": "", "code": "200"}, {"": ""}, {"gauge_index": ""}, {"le": ""}, {"__name__": ""},
	} {
		ours := shoal.New().NewCounterVec(shoal.CounterOpts{Name: "c_total", ConstLabels: shoal.Labels(consts)}, names)
		theirs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", ConstLabels: consts}, names)
		for _, values := range sets {
			ours.WithLabelValues(values...).Inc()
			theirs.WithLabelValues(values...).Inc()
		}
		if got, want := ours.Delete(match), theirs.Delete(match); got != want {
			t.Errorf("Delete(%v) is %v, client_golang's %v", match, got, want)
		}
		if got, want := ours.DeletePartialMatch(match), theirs.DeletePartialMatch(match); got != want {
			t.Errorf("DeletePartialMatch(%v) deletes %d, client_golang's %d", match, got, want)
		}
		for _, values := range [][]string{nil, {"200"}, {"200", "GET", "public"}, {"500", "GET"}} {
			if got, want := ours.DeleteLabelValues(values...), theirs.DeleteLabelValues(values...); got != want {
				t.Errorf("after %v: DeleteLabelValues(%q) is %v, client_golang's %v", match, values, got, want)
			}
		}
	}
}

// The same with vectors of which some labels are curried.
func TestDeletionsOfCurriedVectors_HitWhatClientGolangsHit(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, curried := range []prometheus.Labels{nil, {"b": "1"}, {"a": "1", "c": "2"}, {"a": "1", "b": "1", "c": "1"}} {
		for _, labels := range []prometheus.Labels{
			nil, {"a": "1"}, {"b": "1"}, {"b": "2"}, {"c": "1"}, {"a": "1", "c": "1"}, {"a": "1", "b": "1", "c": "1"}, {"nosuch": "1"},
		} {
			for name, deleted := range map[string]func(*shoal.CounterVec, *prometheus.CounterVec) (ours, theirs any){
				"Delete": func(ours *shoal.CounterVec, theirs *prometheus.CounterVec) (any, any) {
					return ours.Delete(shoal.Labels(labels)), theirs.Delete(labels)
				},
				"DeleteLabelValues": func(ours *shoal.CounterVec, theirs *prometheus.CounterVec) (any, any) {
					values := slices.Sorted(maps.Values(labels))
					return ours.DeleteLabelValues(values...), theirs.DeleteLabelValues(values...)
				},
				"DeletePartialMatch": func(ours *shoal.CounterVec, theirs *prometheus.CounterVec) (any, any) {
					return ours.DeletePartialMatch(shoal.Labels(labels)), theirs.DeletePartialMatch(labels)
				},
				"Reset": func(ours *shoal.CounterVec, theirs *prometheus.CounterVec) (any, any) {
					ours.Reset()
					theirs.Reset()
					return nil, nil
				},
			} {
				ours := shoal.New().NewCounterVec(shoal.CounterOpts{Name: "c_total"}, names)
				theirs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, names)
				var sets [][]string
				for n := range 8 {
					sets = append(sets, []string{fmt.Sprint(1 + n&1), fmt.Sprint(1 + n>>1&1), fmt.Sprint(1 + n>>2)})
				}
				for _, values := range sets {
					ours.WithLabelValues(values...).Inc()
					theirs.WithLabelValues(values...).Inc()
				}
				got, want := deleted(ours.MustCurryWith(shoal.Labels(curried)), theirs.MustCurryWith(curried))
				if got != want {
					t.Errorf("curried with %v: %s(%v) is %v, client_golang's %v", curried, name, labels, got, want)
				}
				for _, values := range sets { // which are left
					if got, want := ours.DeleteLabelValues(values...), theirs.DeleteLabelValues(values...); got != want {
						t.Errorf("curried with %v: after %s(%v) %q is left: %v, client_golang's %v", curried, name, labels, values, got, want)
					}
				}
			}
		}
	}
}

// shoal accepts and refuses the same declarations of one name as client_golang.
func TestDeclarations_WithOtherConstantLabelsAreTakenWhereClientGolangTakesThem(t *testing.T) {
	first := prometheus.Labels{"server": "public", "zone": "a"}
	for name, tt := range map[string]struct {
		help   string
		consts prometheus.Labels
		labels []string
	}{
		"another value":         {"h", prometheus.Labels{"server": "admin", "zone": "a"}, []string{"code"}},
		"an empty value":        {"h", prometheus.Labels{"server": "", "zone": "a"}, []string{"code"}},
		"values swapped":        {"h", prometheus.Labels{"server": "a", "zone": "public"}, []string{"code"}},
		"another help":          {"i", prometheus.Labels{"server": "admin", "zone": "a"}, []string{"code"}},
		"fewer constants":       {"h", prometheus.Labels{"server": "admin"}, []string{"code"}},
		"another constant":      {"h", prometheus.Labels{"server": "admin", "site": "a"}, []string{"code"}},
		"no constants":          {"h", nil, []string{"code"}},
		"other labels":          {"h", prometheus.Labels{"server": "admin", "zone": "a"}, []string{"method"}},
		"a constant as a label": {"h", prometheus.Labels{"server": "admin"}, []string{"code", "zone"}},
	} {
		ours, theirs := shoal.New(), prometheus.NewRegistry()
		ours.NewCounterVec(shoal.CounterOpts{Name: "c_total", Help: "h", ConstLabels: shoal.Labels(first)}, []string{"code"})
		theirs.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "h", ConstLabels: first}, []string{"code"}))
		_, err := ours.RegisterCounterVec(shoal.CounterOpts{Name: "c_total", Help: tt.help, ConstLabels: shoal.Labels(tt.consts)}, tt.labels)
		want := theirs.Register(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: tt.help, ConstLabels: tt.consts}, tt.labels))
		if (err == nil) != (want == nil) {
			t.Errorf("%s: %v; client_golang says %v", name, err, want)
		}
	}
}

// shoal accepts a label le or quantile where client_golang accepts it. client_golang refuses some only
// when the first child is made.
func TestDeclarations_ReserveLabelNamesWhereClientGolangDoes(t *testing.T) {
	refuses := func(declare func()) (refused bool) {
		defer func() { refused = recover() != nil }()
		declare()
		return false
	}
	for _, name := range []string{"le", "quantile", "__name__", "__x", "x"} {
		for where, tt := range map[string]struct {
			consts         map[string]string
			labels, values []string
		}{
			"a label":          {nil, []string{name}, []string{"1"}},
			"a constant label": {map[string]string{name: "1"}, nil, nil},
		} {
			ours, theirs := shoal.New(), prometheus.NewRegistry()
			for kind, declare := range map[string][2]func(){
				"counter": {
					func() { ours.NewCounterVec(shoal.CounterOpts{Name: "c", ConstLabels: tt.consts}, tt.labels) },
					func() {
						v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c", ConstLabels: tt.consts}, tt.labels)
						theirs.MustRegister(v)
						v.WithLabelValues(tt.values...)
					},
				},
				"gauge": {
					func() { ours.NewGaugeVec(shoal.GaugeOpts{Name: "g", ConstLabels: tt.consts}, tt.labels) },
					func() {
						v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g", ConstLabels: tt.consts}, tt.labels)
						theirs.MustRegister(v)
						v.WithLabelValues(tt.values...)
					},
				},
				"histogram": {
					func() { ours.NewHistogramVec(shoal.HistogramOpts{Name: "h", ConstLabels: tt.consts}, tt.labels) },
					func() {
						v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", ConstLabels: tt.consts}, tt.labels)
						theirs.MustRegister(v)
						v.WithLabelValues(tt.values...)
					},
				},
				"summary": {
					func() { ours.NewSummaryVec(shoal.SummaryOpts{Name: "s", ConstLabels: tt.consts}, tt.labels) },
					func() {
						v := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "s", ConstLabels: tt.consts}, tt.labels)
						theirs.MustRegister(v)
						v.WithLabelValues(tt.values...)
					},
				},
			} {
				if got, want := refuses(declare[0]), refuses(declare[1]); got != want {
					t.Errorf("%s %s of a %s: refused: %v, by client_golang: %v", where, name, kind, got, want)
				}
			}
		}
	}
}
