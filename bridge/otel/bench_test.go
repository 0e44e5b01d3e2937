// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"fmt"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// BenchmarkCollect compares the SDK's collection alone with one that is translated, and with one
// that is imported too: 5,000 counters, 3,000 gauges and 2,000 histograms with 3 attributes, all
// of them written since the last one.
func BenchmarkCollect(b *testing.B) {
	for _, temporality := range []string{"delta", "cumulative"} {
		for _, upTo := range []string{"collected", "translated", "imported"} {
			b.Run(fmt.Sprintf("temporality=%s/%s", temporality, upTo), func(b *testing.B) {
				o := Opts{}
				if temporality == "cumulative" {
					o.Temporality = sdkmetric.CumulativeTemporalitySelector
				}
				tr, err := newTranslator(o)
				if err != nil {
					b.Fatal(err)
				}
				reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(tr.opts.Temporality))
				provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))
				write := manySeries(b, provider.Meter("m"))
				importer := shoal.New().NewImporter(shoal.ImporterOpts{Mode: tr.mode})
				for b.Loop() {
					b.StopTimer()
					write()
					b.StartTimer()
					var rm metricdata.ResourceMetrics
					if err := reader.Collect(b.Context(), &rm); err != nil {
						b.Fatal(err)
					}
					if upTo == "collected" {
						continue
					}
					families, problems := tr.translate(&rm)
					if len(problems) > 0 {
						b.Fatal(problems)
					}
					if upTo == "imported" {
						if err := importer.Import(families); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// manySeries returns a function that writes 10,000 series.
func manySeries(b *testing.B, m metric.Meter) (write func()) {
	counter, _ := m.Int64Counter("c")
	gauge, _ := m.Float64Gauge("g")
	histogram, _ := m.Float64Histogram("h", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(shoal.DefBuckets...))
	var sets []metric.MeasurementOption
	for i := range 5000 {
		sets = append(sets, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("http.method", "GET"), attribute.String("http.route", fmt.Sprint("/route/", i)), attribute.Int("http.status", 200))))
	}
	return func() {
		for i, set := range sets {
			counter.Add(b.Context(), 1, set)
			if i < 3000 {
				gauge.Record(b.Context(), float64(i), set)
			}
			if i < 2000 {
				histogram.Record(b.Context(), 0.2, set)
			}
		}
	}
}
