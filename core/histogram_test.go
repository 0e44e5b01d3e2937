// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestHistogram_AValueOnABoundFallsInside(t *testing.T) {
	few := []float64{-1, 0, 0.1, 2.5}
	var many []float64 // too many for the linear search
	for i := range 50 {
		many = append(many, float64(i))
	}
	for _, bounds := range [][]float64{few, many} {
		h := New().NewHistogram(HistogramOpts{Name: "h", Buckets: bounds})
		for i, b := range bounds {
			if got := h.bucketOf(b); got != i {
				t.Errorf("%v falls into bucket %d of %v, want %d", b, got, bounds, i)
			}
			if got := h.bucketOf(math.Nextafter(b, math.Inf(1))); got != i+1 {
				t.Errorf("just above %v falls into bucket %d, want %d", b, got, i+1)
			}
		}
		if got := h.bucketOf(-math.MaxFloat64); got != 0 {
			t.Errorf("the smallest number falls into bucket %d", got)
		}
		if got := h.bucketOf(math.MaxFloat64); got != len(bounds) {
			t.Errorf("the largest number falls into bucket %d", got)
		}
	}
}

func TestHistogram_SendsBucketsThatAreNotEmptyAndTheSum(t *testing.T) {
	h := New().NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{0.1, 1, 1e6}})
	for _, v := range []float64{0.1, -3, 0.5, 1, 7e6} {
		h.Observe(v)
	}
	want := []wire.Component{{Name: "0.1", Value: 2}, {Name: "1", Value: 2}, {Name: "+Inf", Value: 1}, {Name: "sum", Value: 7e6 - 1.4}}
	if got := h.drain(nil); !slices.Equal(got, want) {
		t.Errorf("drained %v, want %v", got, want)
	}
	if got := h.drain(nil); !slices.Equal(got, []wire.Component{{Name: "sum", Value: 0}}) {
		t.Errorf("drained %v a second time", got)
	}
}

func TestObserve_DropsWhatWouldPoisonASum(t *testing.T) {
	for v, reason := range map[float64]string{
		math.NaN(): reasonNaN, math.Inf(1): reasonInfinite, math.Inf(-1): reasonInfinite,
	} {
		r := New()
		h, s := r.NewHistogram(HistogramOpts{Name: "h"}), r.NewSummary(SummaryOpts{Name: "s"})
		h.Observe(v)
		s.Observe(v)
		if got := h.drain(nil); len(got) != 1 || got[0].Value != 0 {
			t.Errorf("the histogram took %v: %v", v, got)
		}
		if got := s.drain(nil); got[0].Value != 0 || got[1].Value != 0 {
			t.Errorf("the summary took %v: %v", v, got)
		}
		if got := selfValue(r, "shoal_rejected_observations_total", reason); got != 2 {
			t.Errorf("%v: the reason %s was counted %v times, want 2", v, reason, got)
		}
		if err := h.ObserveSync(context.Background(), v); !errors.Is(err, ErrRejected) {
			t.Errorf("Histogram.ObserveSync(%v) returns %v, want ErrRejected", v, err)
		}
		if err := s.ObserveSync(context.Background(), v); !errors.Is(err, ErrRejected) {
			t.Errorf("Summary.ObserveSync(%v) returns %v, want ErrRejected", v, err)
		}
	}
}

func TestBuckets_HelpersCountAndRefuse(t *testing.T) {
	if got := LinearBuckets(-1, 0.5, 4); !slices.Equal(got, []float64{-1, -0.5, 0, 0.5}) {
		t.Errorf("LinearBuckets gives %v", got)
	}
	if got := ExponentialBuckets(100, 10, 3); !slices.Equal(got, []float64{100, 1000, 10000}) {
		t.Errorf("ExponentialBuckets gives %v", got)
	}
	if got := ExponentialBucketsRange(0.5, 0.5, 1); !slices.Equal(got, []float64{0.5}) {
		t.Errorf("ExponentialBucketsRange gives %v", got)
	}
	for name, f := range map[string]func(){
		"no bucket of a range":    func() { ExponentialBucketsRange(1, 2, 0) },
		"a range from 0":          func() { ExponentialBucketsRange(0, 2, 3) },
		"no linear bucket":        func() { LinearBuckets(0, 1, 0) },
		"no exponential bucket":   func() { ExponentialBuckets(1, 2, 0) },
		"start 0":                 func() { ExponentialBuckets(0, 2, 1) },
		"factor 1":                func() { ExponentialBuckets(1, 1, 1) },
		"a negative linear count": func() { LinearBuckets(0, 1, -1) },
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, f) })
	}
}
