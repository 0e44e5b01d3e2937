// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
)

// pageFamily is one family of a page: its series as rows of numbers, from which
// each format is made. It is never changed once it is on a page.
type pageFamily struct {
	name   string
	help   string
	kind   string    // one of wire's types
	bounds []float64 // of a histogram, without +Inf
	labels *labelSets
	// rows tells which of the label sets belongs to each row; nil where that is
	// the one of the same place.
	rows []int
	// numbers holds width numbers for each row. Of a counter or gauge, its
	// value; of a summary, sum and count; of a histogram, sum and the
	// cumulated buckets, +Inf last.
	numbers []float64
}

// width is how many numbers a row has.
func (f *pageFamily) width() int {
	switch f.kind {
	case wire.TypeSummary:
		return 2
	case wire.TypeHistogram:
		return 1 + len(f.bounds) + 1
	}
	return 1
}

// len is how many rows there are.
func (f *pageFamily) len() int { return len(f.numbers) / f.width() }

// row returns the numbers of the row i and the place of its labels.
func (f *pageFamily) row(i int) (numbers []float64, labels int) {
	w := f.width()
	numbers, labels = f.numbers[i*w:(i+1)*w], i
	if f.rows != nil {
		labels = f.rows[i]
	}
	return numbers, labels
}

// addPlace says where the labels of the row are that was added last.
func (f *pageFamily) addPlace(labels int) {
	n := f.len()
	if f.rows == nil {
		if labels == n-1 {
			return
		}
		f.rows = make([]int, n-1, f.labels.len())
		for i := range f.rows {
			f.rows[i] = i
		}
	}
	f.rows = append(f.rows, labels)
}

// addLabelled adds a row of one number with labels of its own.
func (f *pageFamily) addLabelled(labels []wire.Label, value float64) {
	f.labels.decoded = append(f.labels.decoded, labels)
	f.numbers = append(f.numbers, value)
}

// upper returns the upper bound of the bucket i.
func (f *pageFamily) upper(i int) float64 {
	if i < len(f.bounds) {
		return f.bounds[i]
	}
	return math.Inf(1)
}

// toCount makes a count of a stored number, which a stranger may have written.
func toCount(f float64) uint64 {
	return uint64(max(0, min(f, math.MaxInt64)))
}

// toProto makes the family's protobuf, in few pieces: a slice for each kind of
// message instead of an allocation for each message and each number.
func (f *pageFamily) toProto() *dto.MetricFamily {
	family := &dto.MetricFamily{Name: proto.String(f.name), Type: metricType(f.kind).Enum()}
	if f.help != "" {
		family.Help = proto.String(f.help)
	}
	n, sets := f.len(), f.labels.pairs()
	metrics := make([]dto.Metric, n)
	family.Metric = make([]*dto.Metric, n)
	for i := range metrics {
		_, labels := f.row(i)
		metrics[i].Label = sets[labels]
		family.Metric[i] = &metrics[i]
	}
	switch f.kind {
	case wire.TypeCounter:
		counters := make([]dto.Counter, n)
		for i := range counters {
			counters[i].Value = &f.numbers[i]
			metrics[i].Counter = &counters[i]
		}
	case wire.TypeSummary:
		f.summaries(metrics)
	case wire.TypeHistogram:
		f.histograms(metrics)
	default:
		gauges := make([]dto.Gauge, n)
		for i := range gauges {
			gauges[i].Value = &f.numbers[i]
			metrics[i].Gauge = &gauges[i]
		}
	}
	return family
}

func (f *pageFamily) summaries(metrics []dto.Metric) {
	summaries := make([]dto.Summary, len(metrics))
	counts := make([]uint64, len(metrics))
	for i := range summaries {
		numbers, _ := f.row(i)
		counts[i] = toCount(numbers[1])
		summaries[i].SampleSum, summaries[i].SampleCount = &numbers[0], &counts[i]
		metrics[i].Summary = &summaries[i]
	}
}

func (f *pageFamily) histograms(metrics []dto.Metric) {
	width := len(f.bounds) + 1
	uppers := make([]float64, width)
	for i := range uppers {
		uppers[i] = f.upper(i)
	}
	histograms := make([]dto.Histogram, len(metrics))
	buckets := make([]dto.Bucket, width*len(metrics))
	pointers := make([]*dto.Bucket, len(buckets))
	counts := make([]uint64, len(buckets))
	for i := range buckets {
		numbers, _ := f.row(i / width)
		counts[i] = toCount(numbers[1+i%width])
		buckets[i].UpperBound, buckets[i].CumulativeCount = &uppers[i%width], &counts[i]
		pointers[i] = &buckets[i]
	}
	for i := range histograms {
		numbers, _ := f.row(i)
		h := &histograms[i]
		h.SampleSum, h.SampleCount = &numbers[0], &counts[(i+1)*width-1]
		h.Bucket = pointers[i*width : (i+1)*width : (i+1)*width]
		metrics[i].Histogram = h
	}
}

func metricType(kind string) dto.MetricType {
	switch kind {
	case wire.TypeCounter:
		return dto.MetricType_COUNTER
	case wire.TypeSummary:
		return dto.MetricType_SUMMARY
	case wire.TypeHistogram:
		return dto.MetricType_HISTOGRAM
	}
	return dto.MetricType_GAUGE
}
