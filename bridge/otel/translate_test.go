// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/proto"
)

const delta, cumulative = metricdata.DeltaTemporality, metricdata.CumulativeTemporality

func TestTranslate_EveryKindOfData(t *testing.T) {
	a := attribute.String("a", "1")
	set := attribute.NewSet(a)
	wantLines(t, translatorOf(t, bare), collection(
		counterOf("int.counter", delta, pointOf[int64](3, a)),
		metricdata.Metrics{Name: "float.counter", Unit: "By", Data: metricdata.Sum[float64]{
			DataPoints: []metricdata.DataPoint[float64]{pointOf(0.5, a)}, Temporality: delta, IsMonotonic: true,
		}},
		metricdata.Metrics{Name: "int.updown", Data: metricdata.Sum[int64]{
			DataPoints: []metricdata.DataPoint[int64]{pointOf[int64](-3, a)}, Temporality: cumulative,
		}},
		metricdata.Metrics{Name: "int.gauge", Data: metricdata.Gauge[int64]{
			DataPoints: []metricdata.DataPoint[int64]{pointOf[int64](4, a), pointOf[int64](5)},
		}},
		gaugeOf("float.gauge", pointOf(0.25)),
		metricdata.Metrics{Name: "int.histogram", Unit: "ms", Data: metricdata.Histogram[int64]{
			DataPoints: []metricdata.HistogramDataPoint[int64]{
				{Attributes: set, Count: 6, Sum: 70, Bounds: []float64{1, 10}, BucketCounts: []uint64{1, 2, 3}},
				{Count: 1, Sum: 7, Bounds: []float64{5}, BucketCounts: []uint64{0, 1}}, // each point has its own bounds
			}, Temporality: delta,
		}},
		metricdata.Metrics{Name: "float.histogram", Data: metricdata.Histogram[float64]{
			DataPoints: []metricdata.HistogramDataPoint[float64]{{
				Count: 2, Sum: 1.5, Min: metricdata.NewExtrema(0.5), Max: metricdata.NewExtrema(1.0),
			}}, Temporality: delta,
		}},
		metricdata.Metrics{Name: "int.exponential", Data: metricdata.ExponentialHistogram[int64]{
			DataPoints: []metricdata.ExponentialHistogramDataPoint[int64]{{Count: 1, Sum: 0, ZeroCount: 1}}, Temporality: delta,
		}},
		metricdata.Metrics{Name: "a.summary", Unit: "s", Data: metricdata.Summary{
			DataPoints: []metricdata.SummaryDataPoint{{
				Attributes: set, Count: 2, Sum: 0.5, QuantileValues: []metricdata.QuantileValue{{Quantile: 0.5, Value: 0.25}},
			}},
		}},
		metricdata.Metrics{Name: "without.points", Data: metricdata.Gauge[int64]{}},
	),
		`int_counter_total{a="1"} 3`,
		`float_counter_bytes_total{a="1"} 0.5`,
		`int_updown{a="1"} -3`,
		`int_gauge 5`,
		`int_gauge{a="1"} 4`,
		`float_gauge 0.25`,
		`int_histogram_milliseconds{a="1"} count 6 sum 70 1:1 10:3`,
		`int_histogram_milliseconds count 1 sum 7 5:0`,
		`float_histogram count 2 sum 1.5`,
		`int_exponential count 1 sum 0 1:1 4:1 16:1 64:1 256:1 1024:1 4096:1 16384:1 65536:1 262144:1 1.048576e+06:1 `+
			`4.194304e+06:1 1.6777216e+07:1 6.7108864e+07:1 2.68435456e+08:1 1.073741824e+09:1`,
		`a_summary_seconds{a="1"} count 2 sum 0.5`,
	)
}

func TestTranslate_KeepsNothingOfWhatItWasGiven(t *testing.T) {
	rm := collection(counterOf("c", delta, pointOf[int64](3)), metricdata.Metrics{
		Name: "h", Data: metricdata.Histogram[float64]{Temporality: cumulative, DataPoints: []metricdata.HistogramDataPoint[float64]{
			{Count: 1, Sum: 1, Bounds: []float64{1}, BucketCounts: []uint64{1, 0}},
		}},
	})
	tr := translatorOf(t, bare)
	families, _ := tr.translate(rm)
	before := make([]proto.Message, len(families))
	for i, f := range families {
		before[i] = proto.Clone(f)
	}
	rm.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints[0] = pointOf[int64](8)
	h := rm.ScopeMetrics[0].Metrics[1].Data.(metricdata.Histogram[float64])
	h.DataPoints[0].Bounds[0], h.DataPoints[0].BucketCounts[0] = 9, 9
	for i, f := range families {
		if !proto.Equal(f, before[i]) {
			t.Errorf("%s changed with what the SDK reuses:\n%v\n%v", f.GetName(), before[i], f)
		}
	}
	h.DataPoints[0].Bounds[0], h.DataPoints[0].BucketCounts[0], h.DataPoints[0].Count = 1, 3, 3
	wantLines(t, tr, collection(rm.ScopeMetrics[0].Metrics[1]), "h count 2 sum 0 1:2")
}

func TestTranslate_ScopeResourceAndTarget(t *testing.T) {
	rm := collection(gaugeOf("g", pointOf(1.0, attribute.String("a.b", "2"), attribute.String("a/b", "1"))))
	rm.Resource = resource.NewSchemaless(
		attribute.String("service.name", "shop"), attribute.String("service.instance.id", "i-1"), attribute.String("host.name", "h"))
	rm.ScopeMetrics[0].Scope = instrumentation.Scope{
		Name: "lib", Version: "v1", SchemaURL: "https://schema",
		Attributes: attribute.NewSet(attribute.String("name", "hidden"), attribute.String("fizz", "buzz"),
			attribute.String("service.instance.id", "i-1")),
	}
	everything := func(attribute.KeyValue) bool { return true }
	const scope = `otel_scope_fizz="buzz",otel_scope_name="lib",otel_scope_schema_url="https://schema",otel_scope_version="v1"`
	const target = `target_info{host_name="h",service_name="shop"} 1`
	for name, tt := range map[string]struct {
		opts Opts
		want []string
	}{
		"by default":              {Opts{}, []string{target, `g{a_b="1;2",` + scope + `} 1`}},
		"without scopes":          {Opts{WithoutScopeInfo: true}, []string{target, `g{a_b="1;2"} 1`}},
		"without the target":      {Opts{WithoutTargetInfo: true}, []string{`g{a_b="1;2",` + scope + `} 1`}},
		"with the resource":       {Opts{ResourceAsConstantLabels: everything}, []string{target, `g{a_b="1;2",host_name="h",` + scope + `,service_name="shop"} 1`}},
		"with a part of it":       {Opts{WithoutScopeInfo: true, ResourceAsConstantLabels: attribute.NewAllowKeysFilter("host.name")}, []string{target, `g{a_b="1;2",host_name="h"} 1`}},
		"with a dotted namespace": {Opts{WithoutScopeInfo: true, Namespace: "my.shop"}, []string{target, `my_shop_g{a_b="1;2"} 1`}},
	} {
		t.Run(name, func(t *testing.T) { wantLines(t, translatorOf(t, tt.opts), rm, tt.want...) })
	}
}

func TestTranslate_ServiceInstanceIDIsNoLabel(t *testing.T) {
	for _, key := range []attribute.Key{"service.instance.id", "service_instance_id", "service/instance.id"} {
		id := key.String("i-1")
		rm := collection(gaugeOf("g", pointOf(1.0, id, attribute.String("a", "1"))))
		rm.Resource = resource.NewSchemaless(id)
		rm.ScopeMetrics[0].Scope.Attributes = attribute.NewSet(id)
		families, problems := translatorOf(t, Opts{ResourceAsConstantLabels: func(attribute.KeyValue) bool { return true }}).translate(rm)
		got := strings.Join(lines(families), "\n")
		if len(problems) > 0 || len(families) != 2 || strings.Contains(got, "i-1") {
			t.Errorf("%s: %v\n%s", key, problems, got)
		}
	}
}

func TestTranslate_LeavesOutWhatCanNotBeShownAndSaysSo(t *testing.T) {
	a := attribute.String("a", "1")
	for name, tt := range map[string]struct {
		data    metricdata.Metrics
		problem string
	}{
		"another type":            {gaugeOf("good.total", pointOf(1.0)), "a gauge is left out, since an instrument seen before made it a counter"},
		"a label twice":           {gaugeOf("g", pointOf(1.0, attribute.String("otel_scope_name", "x"))), "both named otel_scope_name"},
		"a label without letters": {gaugeOf("g", pointOf(1.0, attribute.String("...", "x"))), "label name"},
		"a name without letters":  {gaugeOf("...", pointOf(1.0)), "empty name"},
		"an up-down delta": {metricdata.Metrics{Name: "u", Data: metricdata.Sum[int64]{Temporality: delta, DataPoints: []metricdata.DataPoint[int64]{
			pointOf[int64](1),
		}}}, "up-down counter in deltas"},
		"an unknown temporality": {counterOf("c", 0, pointOf[int64](1)), "nothing says whether"},
		"another of a histogram": {metricdata.Metrics{Name: "h", Data: metricdata.Histogram[int64]{}}, "nothing says whether"},
		"an exponential one":     {metricdata.Metrics{Name: "e", Data: metricdata.ExponentialHistogram[float64]{}}, "nothing says whether"},
		"no data":                {metricdata.Metrics{Name: "n"}, "no translation of <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := translatorOf(t, Opts{WithoutTargetInfo: true})
			families, problems := tr.translate(collection(counterOf("good", delta, pointOf[int64](1, a)), tt.data))
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.problem) || !strings.HasPrefix(problems[0].Error(), "shoalotel: ") {
				t.Errorf("problems: %v, want one with %q", problems, tt.problem)
			}
			sameLines(t, lines(families), []string{`good_total{a="1",otel_scope_name="scope",otel_scope_schema_url="",otel_scope_version=""} 1`})
		})
	}
}

// The SDK gives scopes in any order. If the one that comes first decided, processes of one
// program would disagree on the type of a family.
func TestTranslate_OfClashingScopesTheFirstByNameWinsInEveryProcess(t *testing.T) {
	scopes := []metricdata.ScopeMetrics{
		{Scope: instrumentation.Scope{Name: "a"}, Metrics: []metricdata.Metrics{counterOf("x", delta, pointOf[int64](1))}},
		{Scope: instrumentation.Scope{Name: "b"}, Metrics: []metricdata.Metrics{gaugeOf("x.total", pointOf(1.0))}},
		{Scope: instrumentation.Scope{Name: "b", Version: "2"}, Metrics: []metricdata.Metrics{gaugeOf("x.total", pointOf(1.0))}},
	}
	scopes[0].Metrics[0].Description = "of a"
	for range 2 {
		slices.Reverse(scopes)
		families, _ := translatorOf(t, Opts{WithoutTargetInfo: true}).translate(&metricdata.ResourceMetrics{Resource: resource.Empty(), ScopeMetrics: scopes})
		if len(families) != 1 || families[0].GetType() != dto.MetricType_COUNTER || families[0].GetHelp() != "of a" {
			t.Errorf("got %v", families)
		}
	}
}

func TestTranslate_TheFirstHelpHolds(t *testing.T) {
	tr := translatorOf(t, bare)
	first, second := counterOf("c", delta, pointOf[int64](1)), counterOf("c", delta, pointOf[int64](1))
	first.Description, second.Description = "first", "second"
	for _, m := range []metricdata.Metrics{first, second} {
		families, problems := tr.translate(collection(m))
		if len(problems) > 0 || families[0].GetHelp() != "first" {
			t.Errorf("help %q, problems %v", families[0].GetHelp(), problems)
		}
	}
}

func TestModes_ANameBeatsAPatternAndALongerPatternAShorterOne(t *testing.T) {
	tr := translatorOf(t, Opts{WithoutScopeInfo: true, Modes: map[string]shoal.Mode{
		"queue.*": shoal.Max, "queue_age": shoal.Min, "queue.depth": shoal.Avg, "queue.depth.*": shoal.Latest, "*_seconds": shoal.Sum, "open": shoal.PerProcess,
	}})
	updown := func(name string) metricdata.Metrics {
		return metricdata.Metrics{Name: name, Data: metricdata.Sum[int64]{Temporality: cumulative, DataPoints: []metricdata.DataPoint[int64]{pointOf[int64](1)}}}
	}
	inSeconds := gaugeOf("lag", pointOf(1.0))
	inSeconds.Unit = "s"
	_, problems := tr.translate(collection(gaugeOf("other", pointOf(1.0)), updown("in.flight"), updown("open"), gaugeOf("queue.length", pointOf(1.0)), gaugeOf("queue.a/b", pointOf(1.0)),
		gaugeOf("queue.age", pointOf(1.0)), gaugeOf("queue.depth", pointOf(1.0)), gaugeOf("queue.depth.max", pointOf(1.0)), inSeconds))
	if len(problems) > 0 {
		t.Error(problems)
	}
	for family, want := range map[string]shoal.Mode{
		"other": shoal.PerProcess, "in_flight": shoal.Sum, "open": shoal.PerProcess, "queue_length": shoal.Max, "queue_a_b": shoal.Max, "queue_age": shoal.Min,
		"queue_depth": shoal.Avg, "queue_depth_max": shoal.Latest, "lag_seconds": shoal.Sum, "target_info": shoal.Max, "unknown": shoal.PerProcess,
	} {
		if got := tr.mode(family); got != want {
			t.Errorf("%s has mode %q, want %q", family, got, want)
		}
	}
}

func TestOpts_RefuseWhatCanNotBeMeant(t *testing.T) {
	for name, tt := range map[string]struct {
		opts Opts
		want string
	}{
		"a total":          {Opts{Modes: map[string]shoal.Mode{"g": shoal.Total}}, `Opts.Modes["g"]: a Total gauge can only be added to`},
		"a mode":           {Opts{Modes: map[string]shoal.Mode{"g": "median"}}, `unknown gauge mode "median": use`},
		"a pattern":        {Opts{Modes: map[string]shoal.Mode{"g[": shoal.Max}}, "syntax error in pattern"},
		"an empty name":    {Opts{Modes: map[string]shoal.Mode{"": shoal.Max}}, "an empty name"},
		"no bounds":        {Opts{ExponentialBounds: map[string][]float64{"h": {}}}, `Opts.ExponentialBounds["h"]: use finite bounds`},
		"bounds that fall": {Opts{ExponentialBounds: map[string][]float64{"h": {2, 1}}}, "each above the one before"},
		"a namespace":      {Opts{Namespace: "..."}, "Opts.Namespace"},
		"shoal's own":      {Opts{Namespace: "shoal"}, "names that begin with shoal_"},
	} {
		_, asReader := NewReader(shoal.New(), tt.opts)
		_, asExporter := NewExporter(shoal.New(), tt.opts)
		for _, err := range []error{asReader, asExporter} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
			}
		}
	}
}
