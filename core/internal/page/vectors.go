// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"math"
	"slices"
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// addVectorRows makes the rows of a family whose values are vectors.
func (b *builder) addVectorRows(shown *shownFamily, f *storedFamily) {
	sum := vectorSum{kind: f.state.Type}
	if f.state.Type == wire.TypeHistogram {
		bounds, err := parseBounds(f.state.Bounds)
		if err != nil {
			b.observer.OmittedValues(f.name, 1, err)
			return
		}
		shown.bounds, sum.bounds = bounds, bounds
		sum.uppers = append(slices.Clone(f.state.Bounds), "+Inf")
	}
	shown.numbers = make([]float64, 0, len(f.values)*shown.width())
	shown.labels = f.series.labels
	shown.starts, shown.now = f.series.starts, b.app.Now.UnixMicro()
	for i, v := range f.values {
		if b.ended() {
			return
		}
		if v.Found && f.shows(i) {
			if err := sum.add(v.Text); err != nil {
				b.observer.OmittedValues(f.name, 1, err)
			}
		}
		// Clients in other languages may have stored one label set as several
		// fields. They are neighbours here, and are summed.
		if f.series.sameAsNext(i) {
			continue
		}
		if sum.found {
			shown.numbers = sum.appendRow(shown.numbers)
			shown.addPlace(i)
		}
		sum.reset()
	}
}

// vectorSum adds up the stored vectors of one series of a family.
type vectorSum struct {
	kind   string
	bounds []float64
	uppers []string // the texts of bounds, and +Inf

	found   bool
	value   float64 // a counter's, or that of a Total gauge
	sum     float64
	count   float64
	buckets []bucketCount // in stored order
	buf     []wire.Component
}

// bucketCount is one stored bucket, not cumulated, and its place on the page.
type bucketCount struct {
	place int
	count float64
}

func (s *vectorSum) reset() {
	s.found, s.value, s.sum, s.count, s.buckets = false, 0, 0, 0, s.buckets[:0]
}

// add adds a stored vector, or returns an error and adds nothing of it.
func (s *vectorSum) add(text string) error {
	vector, err := wire.ParseVector(s.buf[:0], text)
	if err != nil {
		return err
	}
	s.buf = vector
	before, next := len(s.buckets), 0
	value, sum, count := s.value, s.sum, s.count
	for _, c := range vector {
		switch {
		case (s.kind == wire.TypeCounter || s.kind == wire.TypeGauge) && c.Name == "":
			value += c.Value
		case (s.kind == wire.TypeSummary || s.kind == wire.TypeHistogram) && c.Name == wire.ComponentSum:
			sum += c.Value
		case c.Value < 0:
			s.buckets = s.buckets[:before]
			return &wire.StoredError{What: "vector", Text: text, Why: errNegative}
		case s.kind == wire.TypeSummary && c.Name == wire.ComponentCount:
			count += c.Value
		case s.kind == wire.TypeHistogram:
			place, err := s.place(c.Name, next)
			if err != nil {
				s.buckets = s.buckets[:before]
				return &wire.StoredError{What: "vector", Text: text, Part: c.Name, Why: errNoBucket}
			}
			s.buckets = append(s.buckets, bucketCount{place, c.Value})
			next = place + 1
		default:
			return &wire.StoredError{What: "vector", Text: text, Why: errOtherType}
		}
	}
	s.value, s.sum, s.count, s.found = wire.Clamp(value), wire.Clamp(sum), count, true
	return nil
}

// nearBounds is how many bounds place compares with a text before it parses that. A
// vector that somebody else stored may have many buckets that are none of the bounds: to
// compare each with all bounds would take long.
const nearBounds = 16

// place finds the smallest current bound at or above a stored one. Most are
// current ones, and stored in their order, so that the text alone tells.
func (s *vectorSum) place(text string, next int) (int, error) {
	for i := next; i < min(next+nearBounds, len(s.uppers)); i++ {
		if s.uppers[i] == text {
			return i, nil
		}
	}
	bound, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(bound) {
		return 0, errNoBucket
	}
	i, _ := slices.BinarySearch(s.bounds, bound)
	return i, nil
}

var (
	errNegative  = errors.New("a negative count")
	errNoBucket  = errors.New("no bucket")
	errOtherType = errors.New("not that of the metric's type")
	errDescend   = errors.New("not above the one before")
)

// appendRow appends the numbers of the sum's row. A stored bucket counts into
// the smallest current bound at or above its own, so that buckets of an earlier
// deploy keep their counts; +Inf takes the rest.
func (s *vectorSum) appendRow(dst []float64) []float64 {
	switch s.kind {
	case wire.TypeSummary:
		return append(dst, s.sum, s.count)
	case wire.TypeHistogram:
		dst = append(dst, s.sum)
		from := len(dst)
		for range s.uppers {
			dst = append(dst, 0)
		}
		counts := dst[from:]
		for _, b := range s.buckets {
			counts[b.place] += b.count
		}
		for i := range counts[1:] {
			counts[i+1] += counts[i]
		}
		return dst
	}
	return append(dst, s.value)
}

// parseBounds reads a histogram's registered upper bounds.
func parseBounds(texts []string) ([]float64, error) {
	bounds := make([]float64, len(texts))
	for i, text := range texts {
		b, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(b) || math.IsInf(b, 0) || (i > 0 && b <= bounds[i-1]) {
			return nil, &wire.StoredError{What: "bucket bound", Text: text, Why: errDescend}
		}
		bounds[i] = b
	}
	return bounds, nil
}
