// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// batches joins the gauges of one collection that a PeriodicReader exports in several calls
// (WithMaxExportBatchSize), since an importer takes those of one call for all there are.
//
// The reader has collected everything before it exports the first batch: a batch whose points
// are all from before that moment belongs to the same collection.
type batches struct {
	began  time.Time           // when the first batch of this collection came
	gauges []*dto.MetricFamily // of the batches so far
}

// join returns the families, with the gauges of the earlier batches of the same collection.
func (b *batches) join(rm *metricdata.ResourceMetrics, families []*dto.MetricFamily) []*dto.MetricFamily {
	if newest := newestPoint(rm); newest.IsZero() || newest.After(b.began) {
		b.began, b.gauges = time.Now(), nil
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	for _, earlier := range b.gauges {
		f := byName[earlier.GetName()]
		if f == nil {
			families = append(families, earlier)
			continue
		}
		given := map[string]bool{}
		for _, m := range f.Metric {
			given[seriesKey(m.Label)] = true
		}
		for _, m := range earlier.Metric {
			if !given[seriesKey(m.Label)] { // target_info is in every batch
				f.Metric = append(f.Metric, m)
			}
		}
	}
	b.gauges = nil
	for _, f := range families {
		if f.GetType() == dto.MetricType_GAUGE {
			b.gauges = append(b.gauges, f)
		}
	}
	return families
}

// seriesKey is different for series of a family that differ. The labels are sorted.
func seriesKey(labels []*dto.LabelPair) string {
	var key strings.Builder
	for _, l := range labels {
		for _, text := range []string{l.GetName(), l.GetValue()} {
			key.WriteString(strconv.Itoa(len(text)))
			key.WriteByte(' ')
			key.WriteString(text)
		}
	}
	return key.String()
}

// newestPoint is the latest time of a point.
func newestPoint(rm *metricdata.ResourceMetrics) (newest time.Time) {
	see := func(t time.Time) {
		if t.After(newest) {
			newest = t
		}
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				each(d.DataPoints, func(p *metricdata.DataPoint[int64]) { see(p.Time) })
			case metricdata.Sum[float64]:
				each(d.DataPoints, func(p *metricdata.DataPoint[float64]) { see(p.Time) })
			case metricdata.Gauge[int64]:
				each(d.DataPoints, func(p *metricdata.DataPoint[int64]) { see(p.Time) })
			case metricdata.Gauge[float64]:
				each(d.DataPoints, func(p *metricdata.DataPoint[float64]) { see(p.Time) })
			case metricdata.Histogram[int64]:
				each(d.DataPoints, func(p *metricdata.HistogramDataPoint[int64]) { see(p.Time) })
			case metricdata.Histogram[float64]:
				each(d.DataPoints, func(p *metricdata.HistogramDataPoint[float64]) { see(p.Time) })
			case metricdata.ExponentialHistogram[int64]:
				each(d.DataPoints, func(p *metricdata.ExponentialHistogramDataPoint[int64]) { see(p.Time) })
			case metricdata.ExponentialHistogram[float64]:
				each(d.DataPoints, func(p *metricdata.ExponentialHistogramDataPoint[float64]) { see(p.Time) })
			case metricdata.Summary:
				each(d.DataPoints, func(p *metricdata.SummaryDataPoint) { see(p.Time) })
			}
		}
	}
	return newest
}

func each[P any](points []P, f func(*P)) {
	for i := range points {
		f(&points[i])
	}
}
