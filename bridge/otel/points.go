// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// point is what the totals need to know of a data point, beside its value.
type point struct {
	temporality metricdata.Temporality
	attributes  attribute.Set
	start, time time.Time
}

func addSum[N int64 | float64](c *translation, m *metricdata.Metrics, d metricdata.Sum[N]) {
	if !c.countable(m, d.Temporality, d.IsMonotonic) {
		return
	}
	if !d.IsMonotonic {
		addGauges(c, m, d.DataPoints, otlptranslator.MetricTypeNonMonotonicCounter, shoal.Sum)
		return
	}
	f := c.familyOf(m, otlptranslator.MetricTypeMonotonicCounter, known{typ: dto.MetricType_COUNTER})
	if f == nil {
		return
	}
	for i := range d.DataPoints {
		p := &d.DataPoints[i]
		if labels, ok := c.labels(f, p.Attributes); ok {
			c.add(f, m, counter(labels, float64(p.Value)), point{d.Temporality, p.Attributes, p.StartTime, p.Time})
		}
	}
}

func addGauges[N int64 | float64](
	c *translation, m *metricdata.Metrics, points []metricdata.DataPoint[N], typ otlptranslator.MetricType, mode shoal.Mode,
) {
	f := c.familyOf(m, typ, known{typ: dto.MetricType_GAUGE, mode: mode})
	if f == nil {
		return
	}
	for i := range points {
		if labels, ok := c.labels(f, points[i].Attributes); ok {
			f.Metric = append(f.Metric, gauge(labels, float64(points[i].Value)))
		}
	}
}

// counter and gauge make one allocation each: there may be many, once a period.

func counter(labels []*dto.LabelPair, v float64) *dto.Metric {
	x := &struct {
		dto.Metric
		counter dto.Counter
		value   float64
	}{value: v}
	x.Label, x.Counter, x.counter.Value = labels, &x.counter, &x.value
	return &x.Metric
}

func gauge(labels []*dto.LabelPair, v float64) *dto.Metric {
	x := &struct {
		dto.Metric
		gauge dto.Gauge
		value float64
	}{value: v}
	x.Label, x.Gauge, x.gauge.Value = labels, &x.gauge, &x.value
	return &x.Metric
}

func addHistogram[N int64 | float64](c *translation, m *metricdata.Metrics, d metricdata.Histogram[N]) {
	if !c.countable(m, d.Temporality, true) {
		return
	}
	f := c.familyOf(m, otlptranslator.MetricTypeHistogram, known{typ: dto.MetricType_HISTOGRAM})
	if f == nil {
		return
	}
	for i := range d.DataPoints {
		p := &d.DataPoints[i]
		labels, ok := c.labels(f, p.Attributes)
		if !ok {
			continue
		}
		h := histogram(p.Bounds, p.Count, float64(p.Sum))
		cumulative := uint64(0)
		for j, b := range h.Bucket {
			if j < len(p.BucketCounts) {
				cumulative += p.BucketCounts[j]
			}
			*b.CumulativeCount = cumulative
		}
		c.add(f, m, &dto.Metric{Label: labels, Histogram: h}, point{d.Temporality, p.Attributes, p.StartTime, p.Time})
	}
}

// histogram returns a histogram with empty buckets of these bounds, which it copies.
func histogram(bounds []float64, count uint64, sum float64) *dto.Histogram {
	buckets := make([]struct { // one allocation for all
		dto.Bucket
		bound float64
		count uint64
	}, len(bounds))
	h := &dto.Histogram{SampleCount: &count, SampleSum: &sum, Bucket: make([]*dto.Bucket, len(bounds))}
	for i := range buckets {
		b := &buckets[i]
		b.bound = bounds[i]
		b.UpperBound, b.CumulativeCount = &b.bound, &b.count
		h.Bucket[i] = &b.Bucket
	}
	return h
}

// addSummary translates what another client's summary has counted; its quantiles are of one
// process, and are left out. A summary has no temporality: it is a total.
func addSummary(c *translation, m *metricdata.Metrics, d metricdata.Summary) {
	f := c.familyOf(m, otlptranslator.MetricTypeSummary, known{typ: dto.MetricType_SUMMARY})
	if f == nil {
		return
	}
	for i := range d.DataPoints {
		p := &d.DataPoints[i]
		if labels, ok := c.labels(f, p.Attributes); ok {
			s := &dto.Summary{SampleCount: new(p.Count), SampleSum: new(p.Sum)}
			c.add(f, m, &dto.Metric{Label: labels, Summary: s}, point{metricdata.CumulativeTemporality, p.Attributes, p.StartTime, p.Time})
		}
	}
}
