// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxCount is the largest count up to which a float64, and so a page, counts exactly.
const maxCount = 1 << 53

// importMetric imports one series.
func (f *importedFamily) importMetric(metric *dto.Metric) error {
	if metric == nil {
		return errors.New("a series is nil")
	}
	set, values, err := f.set(metric.GetLabel())
	if err != nil {
		return err
	}
	switch f.fam.def.kind {
	case wire.TypeCounter:
		if metric.Counter == nil {
			return errNoValue
		}
		return f.importCounter(set, values, metric.Counter)
	case wire.TypeSummary:
		if metric.Summary == nil {
			return errNoValue
		}
		return f.importSummary(set, values, metric.Summary)
	case wire.TypeHistogram:
		if metric.Histogram == nil {
			return errNoValue
		}
		return f.importHistogram(set, values, metric.Histogram)
	}
	switch {
	case metric.Gauge != nil:
		return f.importGauge(set, values, metric.Gauge.GetValue())
	case metric.Untyped != nil:
		return f.importGauge(set, values, metric.Untyped.GetValue())
	}
	return errNoValue
}

var errNoValue = errors.New("a series has no value of the family's type")

func (f *importedFamily) importGauge(set *constants, values []string, v float64) error {
	e, err := f.entry(set, values)
	if err != nil {
		return err
	}
	e.read = f.read
	f.hold(e, values).metric.(*Gauge).setIfChanged(v)
	return nil
}

func (f *importedFamily) importCounter(set *constants, values []string, c *dto.Counter) error {
	v := c.GetValue()
	if !f.cumulative {
		s, err := set.child(values)
		if err == nil && v != 0 {
			s.metric.(*Counter).Add(v)
		}
		return err
	}
	e, err := f.entry(set, values)
	if err != nil {
		return err
	}
	if !addable(v) {
		f.reg.reject(reasonOf(v), f.fam)
		return nil
	}
	e.restarted(nanos(c.GetCreatedTimestamp()), f.read)
	if added := e.sum.grow(v); added > 0 || e.series == nil {
		f.hold(e, values).metric.(*Counter).Add(added)
	}
	return nil
}

func (f *importedFamily) importSummary(set *constants, values []string, s *dto.Summary) error {
	if s.GetSampleCount() > maxCount {
		return fmt.Errorf("a summary of %d observations: a page counts up to %d exactly", s.GetSampleCount(), uint64(maxCount))
	}
	f.counts, f.missing = append(f.counts[:0], s.GetSampleCount()), nil
	return f.importCounts(set, values, s.GetSampleSum(), nanos(s.GetCreatedTimestamp()))
}

func (f *importedFamily) importHistogram(set *constants, values []string, h *dto.Histogram) error {
	if err := f.readBuckets(h); err != nil {
		return err
	}
	if h.Schema != nil && !f.native {
		f.native = true
		f.reg.report("native histogram "+f.fam.def.name, fmt.Errorf("shoal: import of histogram %q: it is a native histogram, of which "+
			"only count, sum and classic buckets are imported: if it has no classic buckets, add some", f.fam.def.name))
	}
	return f.importCounts(set, values, h.GetSampleSum(), nanos(h.GetCreatedTimestamp()))
}

// importCounts adds f.counts, which are cumulative, and the sum of the same observations.
func (f *importedFamily) importCounts(set *constants, values []string, sum float64, began int64) error {
	if !f.cumulative {
		s, err := set.child(values)
		if err == nil {
			each(f.counts)
			f.addObserved(s, sum, f.counts)
		}
		return err
	}
	e, err := f.entry(set, values)
	if err != nil {
		return err
	}
	e.grow(f.counts, f.missing, began, f.read)
	if finite(sum) {
		sum = wire.Clamp(e.sum.move(sum))
	} else if zero(f.counts) {
		sum = 0 // it was refused when it was first not finite
	}
	if sum != 0 || !zero(f.counts) || e.series == nil {
		f.addObserved(f.hold(e, values), sum, f.counts)
	}
	return nil
}

// each turns cumulative counts into those of each bucket.
func each(counts []uint64) {
	for i := len(counts) - 1; i > 0; i-- {
		counts[i] -= counts[i-1]
	}
}

// addObserved adds observations to a summary or histogram: their sum, and how many there are in
// each bucket.
func (f *importedFamily) addObserved(s *series, sum float64, counts []uint64) {
	if !finite(sum) {
		f.reg.reject(reasonOf(sum), f.fam)
		sum = 0
	}
	switch m := s.metric.(type) {
	case *Summary:
		m.addCounts(sum, m.counts[:], counts)
	case *Histogram:
		m.addCounts(sum, m.counts, counts)
	}
	s.touch()
}

// readBuckets sets f.counts to how many observations a histogram has up to each bound of the
// family, and f.missing to the bounds that it does not have. What the histogram counts up to another
// bound is counted at the next larger one.
func (f *importedFamily) readBuckets(h *dto.Histogram) error {
	count := h.GetSampleCount()
	if h.SampleCountFloat != nil && h.GetSampleCountFloat() != 0 {
		return errors.New("a histogram of floats can't be imported: its counts have to be whole numbers")
	}
	if count > maxCount {
		return fmt.Errorf("a histogram of %d observations: a page counts up to %d exactly", count, uint64(maxCount))
	}
	upper, i := f.fam.def.upper, 0
	f.counts, f.missing = slices.Grow(f.counts[:0], len(upper)+1), f.missing[:0]
	last, lastBound, others := uint64(0), math.NaN(), false
	for _, b := range h.GetBucket() {
		bound, n := b.GetUpperBound(), b.GetCumulativeCount()
		switch {
		case math.IsNaN(bound) || bound <= lastBound:
			return fmt.Errorf("the bucket %v comes after %v: the bounds have to ascend", bound, lastBound)
		case n < last || n > count || b.GetCumulativeCountFloat() != 0:
			return fmt.Errorf("the bucket %v has %d observations, the one before it %d, all together %d: they have to be "+
				"cumulative whole numbers", bound, n, last, count)
		}
		for ; i < len(upper) && upper[i] < bound; i++ {
			f.counts, f.missing = append(f.counts, last), append(f.missing, i)
		}
		if i < len(upper) && upper[i] == bound {
			f.counts = append(f.counts, n)
			i++
		} else {
			others = others || !math.IsInf(bound, 0)
		}
		last, lastBound = n, bound
	}
	for ; i < len(upper); i++ {
		f.counts, f.missing = append(f.counts, last), append(f.missing, i)
	}
	f.counts = append(f.counts, count)
	if others {
		f.reg.report("bounds "+f.fam.def.name, fmt.Errorf("shoal: import of histogram %q: some series have other bounds than those "+
			"of its first import, %v: what they count is shown at the next larger bound", f.fam.def.name, upper))
	}
	return nil
}

// nanos is a time in Unix nanoseconds; 0 if there is none.
func nanos(t *timestamppb.Timestamp) int64 {
	if t == nil {
		return 0
	}
	return t.AsTime().UnixNano()
}
