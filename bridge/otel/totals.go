// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"errors"
	"maps"
	"math"
	"reflect"
	"sort"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
)

// The totals of series that are no longer given are forgotten after totalsKept where there are more
// than maxTotals: a callback that fails for a day, say since its database is away, gives the same
// series again. One that comes back after it was forgotten is counted from the start.
const (
	totalsKept = time.Hour
	maxTotals  = 10_000
)

// totals makes deltas of cumulative values: those of observable counters, of other clients'
// metrics, and of any instrument for which Opts.Temporality says so. It knows a series by what the
// SDK calls it, since two of them may have the same labels. Its callers hold the translator's mu.
type totals struct {
	instruments map[instrument]map[attribute.Distinct]*total
	round       int // the number of the collection
	swept       time.Time
	now         func() time.Time // replaced in tests
	most        int              // maxTotals; less in tests
}

// instrument is what the SDK tells instruments apart by.
type instrument struct {
	scope                   instrumentation.Scope
	name, unit, description string
	data                    reflect.Type
}

// total is what was counted of a series.
type total struct {
	// value is the value or sum that was read last, and counted what the deltas add up to,
	// which for fractions may differ in the last bits.
	value, counted float64
	count          uint64        // of a histogram or a summary
	buckets        []*dto.Bucket // of a histogram
	start, time    time.Time     // of the last point
	seen           time.Time     // when it was read last, by the clock of this process
	round          int           // of the last reading
}

func newTotals() *totals {
	return &totals{instruments: map[instrument]map[attribute.Distinct]*total{}, swept: time.Now(), now: time.Now, most: maxTotals}
}

// of returns what was counted of the instrument's series.
func (ts *totals) of(i instrument) map[attribute.Distinct]*total {
	series := ts.instruments[i]
	if series == nil {
		series = map[attribute.Distinct]*total{}
		ts.instruments[i] = series
	}
	return series
}

var errTwice = errors.New("a series was given twice in one collection, as totals: the second one is left out")

// overflow is the attribute of the series that has what is beyond the SDK's limit of cardinality.
const overflow attribute.Key = "otel.metric.overflow"

// subtract turns m, which has a total, into what is new since the total was last given. If the total
// has fallen, or has another start than before, and one after it was last given, it began anew, and all
// of it is new. Only the overflow series of an observable counter falls because other series are in
// it, since callbacks observe in any order: of that, what is more than ever before is new.
func (ts *totals) subtract(series map[attribute.Distinct]*total, m *dto.Metric, p point) error {
	key := p.attributes.Equivalent()
	t := series[key]
	if t != nil && t.round == ts.round {
		return errTwice
	}
	if t == nil || !t.time.IsZero() && p.start.After(t.time) && !p.start.Equal(t.start) {
		t = &total{}
	}
	switch {
	case m.Counter != nil:
		v := m.Counter.GetValue()
		if math.IsNaN(v) || math.IsInf(v, 0) { // the importer refuses it
			return nil
		}
		if v < t.value {
			if p.attributes.HasValue(overflow) {
				v = t.value
			} else {
				t = &total{}
			}
		}
		*m.Counter.Value = max(0, t.advance(v))
	case m.Summary != nil:
		if m.Summary.GetSampleCount() < t.count {
			t = &total{}
		}
		count := m.Summary.GetSampleCount() - t.count
		t.count, m.Summary.SampleCount = m.Summary.GetSampleCount(), &count
		m.Summary.SampleSum = new(t.advanceSum(m.Summary.GetSampleSum(), count))
	case m.Histogram != nil:
		if m.Histogram.GetSampleCount() < t.count {
			t = &total{}
		}
		m.Histogram = t.subtractHistogram(m.Histogram)
	}
	t.start, t.time, t.seen, t.round = p.start, p.time, ts.now(), ts.round
	series[key] = t
	return nil
}

// advance returns what v has more than was counted. If v is NaN, or the difference is, it returns v.
func (t *total) advance(v float64) float64 {
	delta := v - t.counted
	if math.IsNaN(delta) {
		return v
	}
	t.value = v
	t.counted += delta
	return delta
}

// advanceSum is advance for the sum of observations, of which count are new. A sum that is not a number
// stays so: without new ones, nothing of it is new.
func (t *total) advanceSum(sum float64, count uint64) float64 {
	delta := t.advance(sum)
	if count == 0 && (math.IsNaN(delta) || math.IsInf(delta, 0)) {
		return 0
	}
	return delta
}

// subtractHistogram returns what is new. It keeps the buckets below one another and the count,
// whatever the buckets were: those of an exponential histogram move when its scale changes.
func (t *total) subtractHistogram(h *dto.Histogram) *dto.Histogram {
	count, bounds := h.GetSampleCount()-t.count, make([]float64, len(h.Bucket))
	for i, b := range h.Bucket {
		bounds[i] = b.GetUpperBound()
	}
	delta := histogram(bounds, count, t.advanceSum(h.GetSampleSum(), count))
	least := uint64(0)
	for i, b := range delta.Bucket {
		n := h.Bucket[i].GetCumulativeCount()
		if before := t.below(bounds[i]); n > before {
			least = max(least, n-before)
		}
		least = min(least, count)
		*b.CumulativeCount = least
	}
	t.count, t.buckets = h.GetSampleCount(), h.Bucket
	return delta
}

// below returns how many of the values counted so far are known not to be above the bound.
func (t *total) below(bound float64) uint64 {
	i := sort.Search(len(t.buckets), func(i int) bool { return t.buckets[i].GetUpperBound() > bound })
	if i == 0 {
		return 0
	}
	return t.buckets[i-1].GetCumulativeCount()
}

// begin begins a collection. From time to time it drops the series that were not given for long, if
// there are many.
func (ts *totals) begin() {
	ts.round++
	now := ts.now()
	if now.Sub(ts.swept) < totalsKept {
		return
	}
	ts.swept = now
	n := 0
	for _, series := range ts.instruments {
		n += len(series)
	}
	if n <= ts.most {
		return
	}
	for i, series := range ts.instruments {
		maps.DeleteFunc(series, func(_ attribute.Distinct, t *total) bool { return now.Sub(t.seen) > totalsKept })
		if len(series) == 0 {
			delete(ts.instruments, i)
		}
	}
}
