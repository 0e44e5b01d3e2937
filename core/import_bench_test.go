// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// BenchmarkImport imports 10,000 series, of which each or none has counted since.
func BenchmarkImport(b *testing.B) {
	for _, changed := range []bool{false, true} {
		name := map[bool]string{false: "unchanged", true: "changed"}[changed]
		b.Run(name, func(b *testing.B) {
			var counters, gauges, histograms []*dto.Metric
			for n := range 10_000 {
				labels := []string{"code", "200", "method", "GET", "route", fmt.Sprintf("/route/%d", n)}
				switch {
				case n%10 == 0:
					histograms = append(histograms, histogramOf(0, 0, []float64{.005, 0, .01, 0, .025, 0, .05, 0, .1, 0, .25, 0, .5, 0, 1, 0, 2.5, 0, 5, 0, 10, 0}, labels...))
				case n%3 == 0:
					gauges = append(gauges, gaugeOf(0, labels...))
				default:
					counters = append(counters, counterOf(0, labels...))
				}
			}
			families := []*dto.MetricFamily{familyOf("c", counters...), familyOf("g", gauges...), familyOf("h", histograms...)}
			i := importerOf(New(), true)
			imports(b, i, families...)
			b.ReportAllocs()
			for b.Loop() {
				if changed {
					for _, m := range counters {
						*m.Counter.Value++
					}
					for _, m := range gauges {
						*m.Gauge.Value++
					}
					for _, m := range histograms {
						*m.Histogram.SampleCount++
					}
				}
				imports(b, i, families...)
			}
		})
	}
}
