// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// defaultBounds are the bounds for an exponential histogram of a unit. At every scale from 0 up,
// each power of two is a bound of the exponential histogram too: so no bucket reaches across a
// bound, and the counts are exact.
func defaultBounds(unit string) []float64 {
	switch unit {
	case "s": // 1/1024 to 64
		return powersOfTwo(-10, 6, 1)
	case "ms": // 1 to 65,536
		return powersOfTwo(0, 16, 1)
	default: // 1 to 4^15, which is a GiB
		return powersOfTwo(0, 30, 2)
	}
}

func powersOfTwo(first, last, step int) []float64 {
	var bounds []float64
	for e := first; e <= last; e += step {
		bounds = append(bounds, math.Ldexp(1, e))
	}
	return bounds
}

func rising(bounds []float64) bool {
	last := math.Inf(-1)
	for _, b := range bounds {
		if !(b > last) || math.IsInf(b, 1) {
			return false
		}
		last = b
	}
	return true
}

func addExponential[N int64 | float64](c *translation, m *metricdata.Metrics, d metricdata.ExponentialHistogram[N]) {
	if !c.countable(m, d.Temporality, true) {
		return
	}
	f := c.familyOf(m, otlptranslator.MetricTypeHistogram, known{typ: dto.MetricType_HISTOGRAM, bounds: defaultBounds(m.Unit)})
	if f == nil {
		return
	}
	bounds := c.known[f.GetName()].bounds
	if bounds == nil { // the family's first instrument had explicit bounds
		bounds = defaultBounds(m.Unit)
	}
	for i := range d.DataPoints {
		p := &d.DataPoints[i]
		labels, ok := c.labels(f, p.Attributes)
		if !ok {
			continue
		}
		h := histogram(bounds, p.Count, float64(p.Sum))
		cumulative := uint64(0)
		for j, n := range distribute(bounds, p.Scale, p.ZeroThreshold, p.ZeroCount, p.PositiveBucket, p.NegativeBucket) {
			cumulative += n
			*h.Bucket[j].CumulativeCount = cumulative
		}
		c.add(f, m, &dto.Metric{Label: labels, Histogram: h}, point{d.Temporality, p.Attributes, p.StartTime, p.Time})
	}
}

// distribute returns how many values belong to each bound. All of a bucket goes to the first
// bound that is not below the bucket's upper end, so that no value is counted below a bound which
// it may exceed. What is above all bounds is in none.
func distribute(
	bounds []float64, scale int32, zeroThreshold float64, zeroCount uint64, positive, negative metricdata.ExponentialBucket,
) []uint64 {
	counts := make([]uint64, len(bounds))
	add := func(upper float64, n uint64) {
		if i, _ := slices.BinarySearch(bounds, upper); i < len(counts) {
			counts[i] += n
		}
	}
	add(zeroThreshold, zeroCount)
	for i, n := range positive.Counts {
		if n != 0 {
			add(power(scale, int64(positive.Offset)+int64(i)+1), n)
		}
	}
	for i, n := range negative.Counts {
		if n != 0 { // its upper end is the one that is nearer to zero
			add(-power(scale, int64(negative.Offset)+int64(i)), n)
		}
	}
	return counts
}

// power returns 2^(index × 2^-scale), which is exact if it is a power of two.
func power(scale int32, index int64) float64 {
	if scale <= 0 {
		return math.Ldexp(1, clampExponent(index, min(-int64(scale), 30)))
	}
	shift := min(scale, 62)
	whole := index >> shift
	fraction := index - whole<<shift
	return math.Ldexp(math.Exp2(math.Ldexp(float64(fraction), -int(shift))), clampExponent(whole, 0))
}

// clampExponent returns index << shift, or what is as far beyond the exponents of a float64.
func clampExponent(index int64, shift int64) int {
	return int(max(-5000, min(5000, index<<shift)))
}
