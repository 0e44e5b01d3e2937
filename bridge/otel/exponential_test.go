// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestExponential_ABucketGoesToTheFirstBoundNotBelowItsUpperEnd(t *testing.T) {
	buckets := func(offset int32, counts ...uint64) metricdata.ExponentialBucket {
		return metricdata.ExponentialBucket{Offset: offset, Counts: counts}
	}
	none := buckets(0)
	for name, tt := range map[string]struct {
		bounds             []float64
		scale              int32
		threshold          float64
		zeros              uint64
		positive, negative metricdata.ExponentialBucket
		want               []uint64
	}{
		"powers of two":               {[]float64{1, 2, 4}, 0, 0, 0, buckets(-1, 1, 2, 3, 4), none, []uint64{1, 2, 3}}, // (1/2,1] (1,2] (2,4] (4,8]
		"halves of them":              {[]float64{1, 2, 4}, 1, 0, 0, buckets(0, 1, 2, 3, 4), none, []uint64{0, 3, 7}},  // (1,1.41] (1.41,2] (2,2.83] (2.83,4]
		"wider than the bounds":       {[]float64{1, 2, 4, 16}, -1, 0, 0, buckets(-1, 1, 2, 3), none, []uint64{1, 0, 2, 3}},
		"a bound inside the bucket":   {[]float64{3, 5}, 0, 0, 0, buckets(1, 7), none, []uint64{0, 7}}, // (2,4]
		"zeros":                       {[]float64{0, 1}, 0, 0, 5, none, none, []uint64{5, 0}},
		"zeros below the first bound": {[]float64{1, 2}, 0, 0, 5, none, none, []uint64{5, 0}},
		"zeros of a wide zero":        {[]float64{0, 1, 2}, 0, 1.5, 5, none, none, []uint64{0, 0, 5}},
		"negative ones":               {[]float64{-4, -2, -1, 0}, 0, 0, 0, none, buckets(0, 1, 2, 3, 4), []uint64{4 + 3, 2, 1, 0}}, // [-2,-1) [-4,-2) [-8,-4) [-16,-8)
		"above all bounds":            {[]float64{1}, 0, 0, 0, buckets(5, 9), none, []uint64{0}},
		"the finest scale":            {[]float64{1, 2}, 20, 0, 0, buckets(1<<20-1, 9), none, []uint64{0, 9}},
		"the coarsest scale":          {[]float64{1, 2}, -10, 0, 0, buckets(-1, 1, 2), none, []uint64{1, 0}},
		"a scale nobody has":          {[]float64{1, 2}, math.MinInt32, 0, 0, buckets(-2, 1, 2, 3), none, []uint64{3, 0}},
		"another one":                 {[]float64{1, 2}, math.MaxInt32, 0, 0, buckets(-2, 1, 2, 3), none, []uint64{6, 0}}, // all of it is 1
		"the ends of the indexes":     {[]float64{1, 2}, 0, 0, 0, buckets(math.MaxInt32-1, 1, 2), buckets(math.MinInt32, 3), []uint64{3, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := distribute(tt.bounds, tt.scale, tt.threshold, tt.zeros, tt.positive, tt.negative); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// With the default bounds an exponential histogram is shown as a classic one with these bounds
// would have counted it, at every scale from 0 up.
func TestExponential_DefaultBoundsCountExactly(t *testing.T) {
	for _, unit := range []string{"s", "ms", "By"} {
		for _, maxScale := range []int32{0, 3, 20} {
			bounds := defaultBounds(unit)
			want := recorded(t, unit, bounds, sdkmetric.AggregationExplicitBucketHistogram{Boundaries: bounds})
			got := recorded(t, unit, bounds, sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 1000, MaxScale: maxScale})
			if got != want {
				t.Errorf("%s, scale %d: got\n%s\nwant\n%s", unit, maxScale, got, want)
			}
		}
	}
}

// recorded is what becomes of a histogram of random values and of the bounds themselves.
func recorded(t *testing.T, unit string, bounds []float64, a sdkmetric.Aggregation) string {
	t.Helper()
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(sdkmetric.DeltaTemporalitySelector))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader),
		sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: "*"}, sdkmetric.Stream{Aggregation: a})))
	h, err := provider.Meter("m").Float64Histogram("h", metric.WithUnit(unit))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		h.Record(t.Context(), math.Exp2(rng.Float64()*50-12))
	}
	for _, b := range bounds {
		h.Record(t.Context(), b)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	families, problems := translatorOf(t, bare).translate(&rm)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return strings.Join(lines(families), "\n")
}

func TestExponential_BoundsByName(t *testing.T) {
	tr := translatorOf(t, Opts{WithoutScopeInfo: true, WithoutTargetInfo: true, ExponentialBounds: map[string][]float64{
		"*": {1, 10}, "jobs.*": {2}, "jobs_size_bytes": {3, 5},
	}})
	point := []metricdata.ExponentialHistogramDataPoint[float64]{{Count: 1, Sum: 4, PositiveBucket: metricdata.ExponentialBucket{Offset: 1, Counts: []uint64{1}}}}
	data := metricdata.ExponentialHistogram[float64]{DataPoints: point, Temporality: delta}
	wantLines(t, tr, collection(
		metricdata.Metrics{Name: "other", Data: data}, metricdata.Metrics{Name: "jobs.age", Data: data}, metricdata.Metrics{Name: "jobs.size", Unit: "By", Data: data},
	), "other count 1 sum 4 1:0 10:1", "jobs_age count 1 sum 4 2:0", "jobs_size_bytes count 1 sum 4 3:0 5:1")
}
