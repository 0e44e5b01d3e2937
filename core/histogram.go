// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"math"
	"sort"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// HistogramOpts describes a histogram or a [HistogramVec].
type HistogramOpts struct {
	// Namespace, Subsystem and Name, joined by underscores, are the metric's
	// name. Only Name is needed.
	Namespace, Subsystem, Name string
	// Help says what is observed, with its unit. Defaults to no text.
	Help string
	// ConstLabels are labels with fixed values. A further declaration of the
	// metric with other values has series of its own. Defaults to none.
	ConstLabels Labels
	// Buckets are the upper bounds of the buckets, inclusive and ascending. +Inf is implied.
	// A later deploy may change them: the page then shows earlier counts at the next larger
	// bound. Defaults to [DefBuckets].
	Buckets []float64
	// Retention is how long Redis keeps a series that no living process holds, which means
	// that none has a child for it. At least twice Opts.RefreshPeriod; KeepForever keeps the
	// series. Defaults to Opts.Retention.
	Retention time.Duration
}

func (o HistogramOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeHistogram, labelNames: labels, retention: o.Retention,
	}
	d.setConstLabels(o.ConstLabels)
	d.setBuckets(o.Buckets)
	return d
}

// Histogram counts what all processes of the app ever observed, in buckets,
// with their sum. Its methods are safe for concurrent use.
type Histogram struct {
	series
	sum
	counts []uint64  // of the home cell, for each bucket
	upper  []float64 // the family's
	_      [3]uint64 // makes it 192 bytes, which Go aligns to a cache line
}

// Observe adds one observation. It touches only memory and never fails: NaN and the
// infinities are dropped, and counted in shoal_rejected_observations_total.
func (h *Histogram) Observe(v float64) {
	if !finite(v) {
		h.consts.fam.reg.reject(reasonOf(v), h.consts.fam)
		return
	}
	h.observe(v, h.counts, h.bucketOf(v))
	h.touch()
}

// bucketOf returns the first bucket whose bound is not below v. Up to some thirty bounds a
// linear search is faster than a binary one: the processor predicts its branches well.
func (h *Histogram) bucketOf(v float64) int {
	if len(h.upper) > 32 {
		return sort.SearchFloat64s(h.upper, v)
	}
	for i, bound := range h.upper {
		if v <= bound {
			return i
		}
	}
	return len(h.upper)
}

// ObserveSync adds one observation and waits until Redis has it. Its errors
// are those of [Counter.AddSync].
func (h *Histogram) ObserveSync(ctx context.Context, v float64) error {
	if !finite(v) {
		return rejected(h.consts.fam, v, reasonOf(v))
	}
	_, err := h.awaitAck(ctx, func() { h.Observe(v) })
	return err
}

// drain takes the buckets that are not empty, and the sum, since the last drain. The count is
// the sum of the buckets.
func (h *Histogram) drain(dst []wire.Component) []wire.Component {
	bucket := make([]uint64, len(h.upper)+1)
	sum := h.takeCounts(h.counts, bucket)
	for i, n := range bucket {
		if n > 0 {
			dst = append(dst, wire.Component{Name: h.consts.fam.bounds[i], Value: float64(n)})
		}
	}
	return append(dst, wire.Component{Name: wire.ComponentSum, Value: sum})
}

// LinearBuckets returns count upper bounds: start, and then each width above the one before.
// They are bit for bit those of client_golang, so that a program that comes from there goes
// on with the same series. It panics if count is below 1. If width is not positive, no
// histogram accepts the bounds.
func LinearBuckets(start, width float64, count int) []float64 {
	if count < 1 {
		panic("shoal: LinearBuckets needs a count of at least 1")
	}
	bounds := make([]float64, count)
	for i := range bounds {
		bounds[i] = start // added up, not multiplied: the two round differently
		start += width
	}
	return bounds
}

// ExponentialBuckets returns count upper bounds: start, and then each factor times the one
// before. They are bit for bit those of client_golang. It panics if count is below 1, start
// is not positive or factor is not above 1. With NaN, no histogram accepts the bounds.
func ExponentialBuckets(start, factor float64, count int) []float64 {
	if count < 1 || start <= 0 || factor <= 1 {
		panic("shoal: ExponentialBuckets needs a count of at least 1, a positive start and a factor above 1")
	}
	bounds := make([]float64, count)
	for i := range bounds {
		bounds[i] = start
		start *= factor
	}
	return bounds
}

// ExponentialBucketsRange returns count upper bounds from lowest to highest, each of them the same
// factor times the one before. If count is 1, it returns lowest alone. The bounds are bit for bit
// those of client_golang. It panics if count is below 1 or lowest is not positive. If highest is
// not above lowest, no histogram accepts the bounds.
func ExponentialBucketsRange(lowest, highest float64, count int) []float64 {
	if count < 1 || lowest <= 0 {
		panic("shoal: ExponentialBucketsRange needs a count of at least 1 and a positive lowest bound")
	}
	factor := math.Pow(highest/lowest, 1/float64(count-1))
	bounds := make([]float64, count)
	for i := range bounds {
		bounds[i] = lowest * math.Pow(factor, float64(i)) // not multiplied step by step: the two round differently
	}
	return bounds
}
