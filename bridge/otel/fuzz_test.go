// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// FuzzExport exports what the input says, whether an SDK would give it or not: names, kinds and
// temporalities that change, points given twice, buckets that contradict each other, NaN. Nothing
// panics, all exports end without an error, and no counter on the page falls.
func FuzzExport(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{0, 0, 0, 1, 5, 1, 0, 0, 1, 1, 7, 1, 0, 0, 1, 1, 3, 1})
	f.Add([]byte(strings.Repeat("\x04\x00\x01\x02\x03\xff\x00\x07", 20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		reg := shoal.New()
		if err := shoaltest.NewServer().Connect(reg, shoal.Opts{OnError: func(error) {}}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reg.Close(context.Background()) }()
		e, err := NewExporter(reg, Opts{})
		must(t, err)
		in := &input{data}
		last := map[string]float64{}
		for len(in.data) > 0 {
			if err := e.Export(t.Context(), in.collection()); err != nil {
				t.Fatalf("Export: %v", err)
			}
			must(t, reg.Flush(t.Context()))
			families, err := reg.Gather()
			must(t, err)
			for _, f := range families {
				if strings.HasPrefix(f.GetName(), "shoal_") {
					continue
				}
				for _, m := range f.Metric {
					if v, counts := counted(m); counts {
						series := f.GetName() + seriesKey(m.Label)
						if v < last[series] || math.IsNaN(v) {
							t.Fatalf("%s falls from %v to %v", lineOf(f.GetName(), m), last[series], v)
						}
						last[series] = v
					}
				}
			}
		}
	})
}

// counted is the value of a counter, or the count of a histogram or summary.
func counted(m *dto.Metric) (v float64, counts bool) {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount()), true
	case m.Summary != nil:
		return float64(m.Summary.GetSampleCount()), true
	}
	return 0, false
}

// input makes collections of bytes.
type input struct{ data []byte }

func (in *input) byte() byte {
	if len(in.data) == 0 {
		return 0
	}
	b := in.data[0]
	in.data = in.data[1:]
	return b
}

func (in *input) of(values ...string) string { return values[int(in.byte())%len(values)] }

func (in *input) number() float64 {
	switch b := in.byte(); b {
	case 255:
		return math.NaN()
	case 254:
		return math.Inf(1)
	case 253:
		return -1
	case 252:
		return math.MaxFloat64
	default:
		return float64(b) / 2
	}
}

func (in *input) counts() []uint64 {
	counts := make([]uint64, in.byte()%5)
	for i := range counts {
		if counts[i] = uint64(in.byte()); counts[i] == 255 {
			counts[i] = math.MaxUint64
		}
	}
	return counts
}

func (in *input) attributes() attribute.Set {
	return attribute.NewSet(attribute.String(in.of("a", "a.b", "a/b", "le", "gauge_index", "", "\xff", "otel_scope_name", "service.instance.id"), in.of("x", "", "\xff")))
}

func (in *input) temporality() metricdata.Temporality {
	return metricdata.Temporality(in.byte() % 3)
}

func (in *input) collection() *metricdata.ResourceMetrics {
	rm := &metricdata.ResourceMetrics{Resource: resource.NewSchemaless(attribute.String(in.of("a", "..", "service.name"), "r"))}
	for range in.byte()%2 + 1 {
		scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: in.of("a", "b", "\xff")}}
		for range in.byte()%3 + 1 {
			scope.Metrics = append(scope.Metrics, metricdata.Metrics{
				Name: in.of("c", "c.total", "h", "h.sum", "..", "shoal_x", "target_info", "\xff"), Unit: in.of("", "s", "1"), Data: in.aggregation(),
			})
		}
		rm.ScopeMetrics = append(rm.ScopeMetrics, scope)
	}
	return rm
}

func (in *input) aggregation() metricdata.Aggregation {
	kind, twice, start := in.byte()%6, in.byte()%2, time.Now().Add(time.Duration(in.byte())*time.Second)
	switch kind {
	case 0, 1:
		points := []metricdata.DataPoint[float64]{{Attributes: in.attributes(), Value: in.number(), StartTime: start}}
		points = append(points, points[:twice]...)
		if kind == 0 {
			return metricdata.Gauge[float64]{DataPoints: points}
		}
		return metricdata.Sum[float64]{DataPoints: points, Temporality: in.temporality(), IsMonotonic: in.byte()%4 > 0}
	case 2:
		points := []metricdata.HistogramDataPoint[int64]{{
			Attributes: in.attributes(), Count: uint64(in.byte()), Sum: int64(in.byte()), Bounds: []float64{in.number(), in.number()}, BucketCounts: in.counts(), StartTime: start,
		}}
		return metricdata.Histogram[int64]{DataPoints: append(points, points[:twice]...), Temporality: in.temporality()}
	case 3:
		points := []metricdata.ExponentialHistogramDataPoint[float64]{{
			Attributes: in.attributes(), Count: uint64(in.byte()), Sum: in.number(), Scale: int32(in.byte()) - 100, ZeroCount: uint64(in.byte()), ZeroThreshold: in.number(), StartTime: start,
			PositiveBucket: metricdata.ExponentialBucket{Offset: int32(in.byte()) - 100, Counts: in.counts()},
			NegativeBucket: metricdata.ExponentialBucket{Offset: int32(in.byte()) - 100, Counts: in.counts()},
		}}
		return metricdata.ExponentialHistogram[float64]{DataPoints: append(points, points[:twice]...), Temporality: in.temporality()}
	case 4:
		points := []metricdata.SummaryDataPoint{{Attributes: in.attributes(), Count: uint64(in.byte()), Sum: in.number()}}
		return metricdata.Summary{DataPoints: append(points, points[:twice]...)}
	}
	return nil
}
