// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"math"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
)

// quantilesOf returns the quantiles of a family of summaries as one of gauges, or nil if there are
// none or they are not wanted.
func (s *source) quantilesOf(f *dto.MetricFamily) *dto.MetricFamily {
	if !s.quantiles || f.GetType() != dto.MetricType_SUMMARY {
		return nil
	}
	var gauges []*dto.Metric
	for _, m := range f.GetMetric() {
		for _, q := range m.GetSummary().GetQuantile() {
			if math.IsNaN(q.GetValue()) {
				continue
			}
			label := &dto.LabelPair{Name: new("quantile"), Value: new(strconv.FormatFloat(q.GetQuantile(), 'g', -1, 64))}
			gauges = append(gauges, &dto.Metric{
				Label: append(slices.Clip(m.GetLabel()), label),
				Gauge: &dto.Gauge{Value: new(q.GetValue())},
			})
		}
	}
	if gauges == nil {
		return nil
	}
	return &dto.MetricFamily{
		Name: new(f.GetName() + "_quantile"), Help: f.Help, Type: dto.MetricType_GAUGE.Enum(), Metric: gauges,
	}
}
