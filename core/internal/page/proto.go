// SPDX-License-Identifier: Apache-2.0

package page

import (
	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
)

// toProto makes the family's protobuf in few allocations: a slice for each kind of
// message, instead of one allocation for each message and each number. With starts it tells
// when series began.
func (f *shownFamily) toProto(starts bool) *dto.MetricFamily {
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
		f.counters(metrics)
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
	if starts {
		f.addStarts(metrics)
	}
	return family
}

func (f *shownFamily) counters(metrics []dto.Metric) {
	counters := make([]dto.Counter, len(metrics))
	for i := range counters {
		counters[i].Value = &f.numbers[i]
		metrics[i].Counter = &counters[i]
	}
}

func (f *shownFamily) summaries(metrics []dto.Metric) {
	summaries := make([]dto.Summary, len(metrics))
	counts := make([]uint64, len(metrics))
	for i := range summaries {
		numbers, _ := f.row(i)
		counts[i] = toCount(numbers[1])
		summaries[i].SampleSum, summaries[i].SampleCount = &numbers[0], &counts[i]
		metrics[i].Summary = &summaries[i]
	}
}

func (f *shownFamily) histograms(metrics []dto.Metric) {
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
