// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"fmt"
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
	series      attribute.Distinct
	start, time time.Time
}

func addSum[N int64 | float64](c *translation, m *metricdata.Metrics, d metricdata.Sum[N]) {
	if !d.IsMonotonic {
		if d.Temporality == metricdata.DeltaTemporality {
			c.problem(fmt.Errorf("instrument %q: %w", m.Name, errDeltaUpDown))
			return
		}
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
			counter := &dto.Metric{Label: labels, Counter: &dto.Counter{Value: new(float64(p.Value))}}
			c.add(f, m, counter, point{d.Temporality, p.Attributes.Equivalent(), p.StartTime, p.Time})
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

func gauge(labels []*dto.LabelPair, v float64) *dto.Metric {
	return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &v}}
}

func addHistogram[N int64 | float64](c *translation, m *metricdata.Metrics, d metricdata.Histogram[N]) {
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
			b.CumulativeCount = new(cumulative)
		}
		c.add(f, m, &dto.Metric{Label: labels, Histogram: h}, point{d.Temporality, p.Attributes.Equivalent(), p.StartTime, p.Time})
	}
}

// histogram returns a histogram with empty buckets of these bounds.
func histogram(bounds []float64, count uint64, sum float64) *dto.Histogram {
	buckets := make([]dto.Bucket, len(bounds))
	h := &dto.Histogram{SampleCount: &count, SampleSum: &sum, Bucket: make([]*dto.Bucket, len(bounds))}
	for i, bound := range bounds {
		buckets[i].UpperBound = &bound
		h.Bucket[i] = &buckets[i]
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
			c.add(f, m, &dto.Metric{Label: labels, Summary: s}, point{metricdata.CumulativeTemporality, p.Attributes.Equivalent(), p.StartTime, p.Time})
		}
	}
}
