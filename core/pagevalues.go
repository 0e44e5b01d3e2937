// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
)

// vectorSum adds up the stored vectors of one series.
type vectorSum struct {
	found   bool
	value   float64 // a counter's
	sum     float64
	count   float64
	buckets []bucketCount // in stored order
	buf     []wire.Component
}

// bucketCount is one stored bucket, not cumulated.
type bucketCount struct {
	bound float64
	count float64
}

func (s *vectorSum) reset() {
	*s = vectorSum{buckets: s.buckets[:0], buf: s.buf[:0]}
}

// add adds a stored vector, or nothing of it.
func (s *vectorSum) add(kind, text string) error {
	vector, err := wire.ParseVector(s.buf[:0], text)
	if err != nil {
		return err
	}
	s.buf = vector
	before := len(s.buckets)
	value, sum, count := s.value, s.sum, s.count
	for _, c := range vector {
		switch {
		case kind == wire.TypeCounter && c.Name == "":
			value += c.Value
		case kind != wire.TypeCounter && c.Name == wire.ComponentSum:
			sum += c.Value
		case c.Value < 0:
			s.buckets = s.buckets[:before]
			return fmt.Errorf("vector %q: a negative count", text)
		case kind == wire.TypeSummary && c.Name == wire.ComponentCount:
			count += c.Value
		case kind == wire.TypeHistogram:
			bound, err := strconv.ParseFloat(c.Name, 64)
			if err != nil || math.IsNaN(bound) {
				s.buckets = s.buckets[:before]
				return fmt.Errorf("vector %q: %q is no bucket", text, c.Name)
			}
			s.buckets = append(s.buckets, bucketCount{bound, c.Value})
		default:
			return fmt.Errorf("vector %q: not that of a %s", text, kind)
		}
	}
	s.value, s.sum, s.count, s.found = clamp(value), clamp(sum), count, true
	return nil
}

// metric renders the sum. A stored bucket counts into the smallest current
// bound at or above its own, so that buckets of an earlier deploy keep their
// counts; +Inf takes the rest.
func (s *vectorSum) metric(kind string, bounds []float64, labels []*dto.LabelPair) *dto.Metric {
	m := &dto.Metric{Label: labels}
	switch kind {
	case wire.TypeCounter:
		m.Counter = &dto.Counter{Value: proto.Float64(s.value)}
	case wire.TypeSummary:
		m.Summary = &dto.Summary{SampleCount: proto.Uint64(toCount(s.count)), SampleSum: proto.Float64(s.sum)}
	case wire.TypeHistogram:
		counts := make([]float64, len(bounds)+1)
		for _, b := range s.buckets {
			i, _ := slices.BinarySearch(bounds, b.bound)
			counts[i] += b.count
		}
		h := &dto.Histogram{SampleSum: proto.Float64(s.sum), Bucket: make([]*dto.Bucket, len(bounds)+1)}
		total := 0.0
		for i, n := range counts {
			total += n
			bound := math.Inf(1)
			if i < len(bounds) {
				bound = bounds[i]
			}
			h.Bucket[i] = &dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(toCount(total))}
		}
		h.SampleCount = proto.Uint64(toCount(total))
		m.Histogram = h
	}
	return m
}

// toCount makes a count of a stored number, which a stranger may have written.
func toCount(f float64) uint64 {
	return uint64(max(0, min(f, math.MaxInt64)))
}

// parseBounds reads a histogram's registered upper bounds.
func parseBounds(texts []string) ([]float64, error) {
	bounds := make([]float64, len(texts))
	for i, text := range texts {
		b, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(b) || math.IsInf(b, 0) || (i > 0 && b <= bounds[i-1]) {
			return nil, fmt.Errorf("the registered bucket bounds %q do not ascend", texts)
		}
		bounds[i] = b
	}
	return bounds, nil
}
