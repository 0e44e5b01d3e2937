// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"math"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/config"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The names of what another client counts are its own, and so are the label names, which may differ
// within a family. Prometheus reads all of them in each format, and none twice.
func TestParse_PrometheusReadsWhatIsImported(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	labels := func(pairs ...string) (list []*dto.LabelPair) {
		for pair := range slices.Chunk(pairs, 2) {
			list = append(list, &dto.LabelPair{Name: &pair[0], Value: &pair[1]})
		}
		return list
	}
	counter := func(pairs ...string) *dto.Metric {
		return &dto.Metric{Label: labels(pairs...), Counter: &dto.Counter{Value: new(1.0)}}
	}
	gauge := func(pairs ...string) *dto.Metric {
		return &dto.Metric{Label: labels(pairs...), Gauge: &dto.Gauge{Value: new(math.Inf(1))}}
	}
	histogram := func(pairs ...string) *dto.Metric {
		return &dto.Metric{Label: labels(pairs...), Histogram: &dto.Histogram{
			SampleCount: new(uint64(3)), SampleSum: new(-1.5), Bucket: []*dto.Bucket{{UpperBound: new(-1.0), CumulativeCount: new(uint64(1))}},
		}}
	}
	family := func(name string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Help: new("a \\ \"b\"\nc # EOF"), Type: &kind, Metric: metrics}
	}
	refused := []*dto.MetricFamily{
		family("took_bucket", dto.MetricType_COUNTER, counter()),
	}
	importer := reg.NewImporter(shoal.ImporterOpts{Mode: func(string) shoal.Mode { return shoal.Sum }})
	err := importer.Import(append([]*dto.MetricFamily{
		family("votes_total", dto.MetricType_COUNTER, counter(), counter("a", "1"), counter("b", "\\\"\n"), counter("le", "no number", "quantile", "x")),
		family("votes", dto.MetricType_GAUGE, gauge("who", "all")), // the counter's name in OpenMetrics
		family("calls_total", dto.MetricType_COUNTER, counter()),
		family("calls_created", dto.MetricType_GAUGE, gauge()), // where OpenMetrics has the counter's start
		family("took_created", dto.MetricType_GAUGE, gauge()),
		family("hits", dto.MetricType_COUNTER, counter(), counter("a", "1")), // no suffix
		family("target_info", dto.MetricType_GAUGE, gauge("service_name", "shop")),
		family("a_total", dto.MetricType_GAUGE, gauge()),
		family("a_bucket", dto.MetricType_GAUGE, gauge("le", "1")),
		family("b_info", dto.MetricType_COUNTER, counter()),
		family("took", dto.MetricType_HISTOGRAM, histogram(), histogram("quantile", "x")),
		family("width", dto.MetricType_SUMMARY, &dto.Metric{Label: labels("le", "x"), Summary: &dto.Summary{SampleCount: new(uint64(1)), SampleSum: new(-2.0)}}),
	}, refused...))
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != len(refused) {
		t.Fatalf("refused: %v", err)
	}
	const series = 4 + 1 + 1 + 1 + 1 + 2 + 1 + 1 + 1 + 1 + 2*4 + 2
	for _, tt := range []struct {
		name     string
		opts     shoal.HandlerOpts
		protocol config.ScrapeProtocol
	}{
		{"protobuf", shoal.HandlerOpts{}, config.PrometheusProto},
		{"OpenMetrics with starts", shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}, config.OpenMetricsText1_0_0},
		{"OpenMetrics", shoal.HandlerOpts{EnableOpenMetrics: true}, config.OpenMetricsText1_0_0},
		{"text", shoal.HandlerOpts{}, config.PrometheusText0_0_4},
		{"text of each process", shoal.HandlerOpts{EachProcess: true}, config.PrometheusText0_0_4},
	} {
		if got := parse(t, reg, tt.opts, tt.protocol); len(got) != series {
			t.Errorf("%s: %d series, not %d: %v", tt.name, len(got), series, got)
		}
	}
}
