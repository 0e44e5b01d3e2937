// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"fmt"
	"math"
	"testing"

	shoalotel "github.com/shoal-metrics/shoal/bridge/otel"
	"go.opentelemetry.io/otel/attribute"
	official "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// instruments makes instruments of a meter; a mistake in a name is what some tests are about.
type instruments struct {
	metric.Meter
	ctx context.Context
}

var (
	abcd  = metric.WithAttributes(attribute.String("A", "B"), attribute.String("C", "D"), attribute.Bool("E", true), attribute.Int("F", 42))
	other = metric.WithAttributes(attribute.String("A", "D"), attribute.String("C", "B"), attribute.Bool("E", true), attribute.Int("F", 42))
)

func (i instruments) count(name, unit, help string, o ...metric.AddOption) {
	c, _ := i.Float64Counter(name, metric.WithUnit(unit), metric.WithDescription(help))
	if o == nil {
		o = []metric.AddOption{abcd}
	}
	for _, v := range []float64{5, 10.3, 9} {
		c.Add(i.ctx, v, o...)
	}
}

func (i instruments) updown(name, unit, help string, v float64, o ...metric.AddOption) {
	c, _ := i.Float64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
	c.Add(i.ctx, v, o...)
	c.Add(i.ctx, -1, o...)
}

func (i instruments) gauge(name, unit, help string, v float64, o ...metric.RecordOption) {
	g, _ := i.Float64Gauge(name, metric.WithUnit(unit), metric.WithDescription(help))
	g.Record(i.ctx, v, o...)
}

func (i instruments) histogram(name, unit, help string, o ...metric.RecordOption) {
	h, _ := i.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(help))
	for _, v := range []float64{23, 7, 101, 105} {
		h.Record(i.ctx, v, o...)
	}
}

// TestSideBySide_EveryCaseOfTheOfficialGoldens records the same with the official exporter and
// with ours. Those cases whose names it would leave as they are, with dots, use its classic
// naming here, which is ours.
func TestSideBySide_EveryCaseOfTheOfficialGoldens(t *testing.T) {
	allow := func(attribute.KeyValue) bool { return true }
	for name, tt := range map[string]struct {
		setting
		record func(i instruments)
	}{
		"a counter": {setting{
			opts: shoalotel.Opts{Namespace: "my.dotted.namespace"}, official: []official.Option{official.WithNamespace("my.dotted.namespace")},
		}, func(i instruments) {
			i.count("foo", "s", "a simple counter")
			i.count("foo", "s", "a simple counter", other)
		}},
		"a counter of nothing": {setting{}, func(i instruments) {
			c, _ := i.Int64Counter("foo", metric.WithDescription("a counter that counts 0"))
			c.Add(i.ctx, 0, abcd)
		}},
		"a counter that has the unit's suffix": {setting{}, func(i instruments) { i.count("foo.seconds", "s", "a simple counter") }},
		"a counter that has the unit inside":   {setting{}, func(i instruments) { i.count("foo.seconds.count", "s", "a simple counter") }},
		"a counter of a made-up unit":          {setting{}, func(i instruments) { i.count("foo.dotted", "madeup", "a simple counter") }},
		"a counter of a bracketed unit":        {setting{}, func(i instruments) { i.count("foo", "{spans}", "a simple counter") }},
		"a counter that has the total suffix":  {setting{}, func(i instruments) { i.count("foo.total", "s", "a simple counter") }},
		"a counter without the suffix": {setting{
			opts: shoalotel.Opts{WithoutCounterSuffixes: true}, official: []official.Option{official.WithoutCounterSuffixes()}, //nolint:staticcheck // deprecated for a strategy that also changes more
		}, func(i instruments) { i.count("foo", "s", "a simple counter") }},
		"a gauge": {setting{}, func(i instruments) { i.gauge("bar", "1", "a fun little gauge", .75, abcd) }},
		"a histogram with bounds of a view": {setting{provider: []sdkmetric.Option{sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Name: "histogram_*"},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 1000}}},
		))}}, func(i instruments) { i.histogram("histogram_baz", "By", "a very nice histogram", abcd) }},
		"attributes that clash": {setting{
			opts: shoalotel.Opts{WithoutUnits: true}, official: []official.Option{official.WithoutUnits()}, //nolint:staticcheck // as above
		}, func(i instruments) {
			i.count("foo", "By", "a sanitary counter", metric.WithAttributes(attribute.String("A.B", "X"), attribute.String("A.B", "Q"),
				attribute.String("C.D", "Z"), attribute.String("C/D", "Y"), attribute.String("C_D", "M")))
		}},
		"names that are not valid": {setting{}, func(i instruments) {
			i.updown("bar", "", "a fun little gauge", 100, abcd)
			i.updown("invalid.gauge.name", "", "a gauge with an invalid name", 100, abcd)
			i.count("0invalid.counter.name", "", "a counter with an invalid name")
			i.histogram("invalid.hist.name", "", "a histogram with an invalid name", abcd)
		}},
		"an empty resource": {setting{provider: []sdkmetric.Option{sdkmetric.WithResource(resource.Empty())}},
			func(i instruments) { i.count("foo", "", "a simple counter") }},
		"a resource of one's own": {setting{provider: []sdkmetric.Option{sdkmetric.WithResource(resource.NewSchemaless(
			attribute.String("A", "B"), attribute.String("C.D", "D"), attribute.String("C/D", "E"), attribute.Int64Slice("n", []int64{1, 2}),
		))}}, func(i instruments) { i.count("foo", "", "a simple counter") }},
		"without target_info": {setting{
			opts: shoalotel.Opts{WithoutTargetInfo: true}, official: []official.Option{official.WithoutTargetInfo()},
		}, func(i instruments) { i.count("foo", "", "a simple counter") }},
		"without scopes": {setting{
			opts: shoalotel.Opts{WithoutScopeInfo: true}, official: []official.Option{official.WithoutScopeInfo()},
		}, func(i instruments) { i.gauge("bar", "1", "a fun little gauge", 1, abcd) }},
		"without both": {setting{
			opts:     shoalotel.Opts{WithoutScopeInfo: true, WithoutTargetInfo: true},
			official: []official.Option{official.WithoutScopeInfo(), official.WithoutTargetInfo()},
		}, func(i instruments) { i.count("bar", "By", "a fun little counter") }},
		"with a namespace": {setting{
			opts: shoalotel.Opts{Namespace: "test"}, official: []official.Option{official.WithNamespace("test")},
		}, func(i instruments) { i.count("foo", "", "a simple counter") }},
		"with the resource's attributes": {setting{
			opts: shoalotel.Opts{ResourceAsConstantLabels: allow}, official: []official.Option{official.WithResourceAsConstantLabels(allow)},
		}, func(i instruments) { i.count("foo", "", "a simple counter") }},
		"with some of the resource's attributes": {setting{
			opts:     shoalotel.Opts{ResourceAsConstantLabels: attribute.NewAllowKeysFilter("service.name")},
			official: []official.Option{official.WithResourceAsConstantLabels(attribute.NewAllowKeysFilter("service.name"))},
		}, func(i instruments) { i.count("foo", "", "a simple counter") }},
		"names and attributes with dots": {setting{
			opts: shoalotel.Opts{Namespace: "my.dotted.namespace"}, official: []official.Option{official.WithNamespace("my.dotted.namespace")},
		}, func(i instruments) {
			i.count("foo.things", "s", "a simple counter", metric.WithAttributes(attribute.String("A.G", "B"), attribute.Bool("E.I", true), attribute.Int("F.J", 42)))
		}},
		"an up-down counter": {setting{}, func(i instruments) {
			i.updown("foo", "s", "a simple up down counter", 24.3, abcd)
			i.updown("foo", "s", "a simple up down counter", 6, other)
		}},
	} {
		for _, pushed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pushed %v", name, pushed), func(t *testing.T) {
				tt.pushed = pushed
				s := newSideBySide(t, tt.setting)
				for range 2 { // what was counted before is there the second time too
					tt.record(instruments{s.meter(), t.Context()})
					s.want(t)
				}
			})
		}
	}
}

func TestSideBySide_ScopesAndWhatClashesBetweenThem(t *testing.T) {
	ab, typeFoo, typeBar := metric.WithAttributes(attribute.String("A", "B")), metric.WithAttributes(attribute.String("type", "foo")), metric.WithAttributes(attribute.String("type", "bar"))
	for name, record := range map[string]func(a, b instruments){
		"two scopes": func(a, b instruments) {
			a.count("foo", "s", "meter foo counter", typeFoo)
			b.count("bar", "s", "meter bar counter", typeBar)
		},
		"two counters": func(a, b instruments) {
			a.count("foo", "By", "meter counter foo", ab)
			b.count("foo", "By", "meter counter foo", ab)
		},
		"two up-down counters": func(a, b instruments) {
			a.updown("foo", "By", "meter gauge foo", 100, ab)
			b.updown("foo", "By", "meter gauge foo", 100, ab)
		},
		"two histograms": func(a, b instruments) {
			a.histogram("foo", "By", "meter histogram foo", ab)
			b.histogram("foo", "By", "meter histogram foo", ab)
		},
		"help of two counters": func(a, b instruments) {
			a.count("bar", "By", "meter a bar", typeBar)
			b.count("bar", "By", "meter b bar", typeBar)
		},
		"help of two up-down counters": func(a, b instruments) {
			a.updown("bar", "By", "meter a bar", 100, typeBar)
			b.updown("bar", "By", "meter b bar", 100, typeBar)
		},
		"help of two histograms": func(a, b instruments) {
			a.histogram("bar", "By", "meter a bar", ab)
			b.histogram("bar", "By", "meter b bar", ab)
		},
		"units of two counters": func(a, b instruments) {
			a.count("bar", "By", "meter bar", typeBar)
			b.count("bar", "ms", "meter bar", typeBar)
		},
		"units of two up-down counters": func(a, b instruments) {
			a.updown("bar", "By", "meter gauge bar", 100, typeBar)
			b.updown("bar", "ms", "meter gauge bar", 100, typeBar)
		},
		"units of two histograms": func(a, b instruments) {
			a.histogram("bar", "By", "meter histogram bar", ab)
			b.histogram("bar", "ms", "meter histogram bar", ab)
		},
		"a counter and an up-down counter": func(a, _ instruments) {
			a.count("foo", "", "meter foo", typeFoo)
			a.updown("foo_total", "", "meter foo", 100, typeFoo)
		},
		"a histogram and an up-down counter": func(a, _ instruments) {
			a.updown("foo", "By", "meter gauge foo", 100, ab)
			a.histogram("foo_bytes", "", "meter histogram foo", ab)
		},
		"a counter and an up-down counter of two scopes": func(a, b instruments) {
			a.updown("foo_total", "", "meter foo", 100, typeFoo)
			b.count("foo", "", "meter foo", typeFoo)
		},
	} {
		t.Run(name, func(t *testing.T) {
			// The SDK gives the official exporter scopes in any order, and the first one's help
			// and type win there. Ours takes them by name: one of the official outcomes.
			last := ""
			for range 50 {
				s := newSideBySide(t, setting{})
				meter := func(name string) instruments {
					return instruments{s.provider.Meter(name, metric.WithInstrumentationVersion("v0.1.0")), t.Context()}
				}
				record(meter("ma"), meter("mb"))
				theirs, _ := s.official() // the error is about what it left out
				if last = s.ours().differences(theirs); last == "" {
					return
				}
			}
			t.Errorf("no outcome of the official exporter is ours; the last one differs:\n%s", last)
		})
	}
}

func TestSideBySide_ScopeAttributesThatClash(t *testing.T) {
	s := newSideBySide(t, setting{})
	c, _ := s.provider.Meter("scope-name", metric.WithInstrumentationVersion("scope-version"), metric.WithSchemaURL("https://example.com/schema"),
		metric.WithInstrumentationAttributes(attribute.String("name", "x"), attribute.String("version", "x"), attribute.String("schema_url", "x"),
			attribute.String("schema.url", "x"), attribute.String("custom.scope", "b"), attribute.String("custom/scope", "a")),
	).Int64Counter("scope_conflict")
	c.Add(t.Context(), 1)
	s.want(t)
}

func TestSideBySide_EveryInstrumentEveryUnit(t *testing.T) {
	for _, s := range []setting{{}, {pushed: true}, {pushed: true, batch: 1}, {pushed: true, batch: 7}} {
		t.Run(fmt.Sprintf("pushed %v in batches of %d", s.pushed, s.batch), func(t *testing.T) {
			s := newSideBySide(t, s)
			record := recordEverything(s.meter())
			for range 3 {
				record(t.Context())
				s.want(t)
			}
		})
	}
}

// recordEverything returns a function that records with every kind of instrument in many units.
func recordEverything(m metric.Meter) (record func(context.Context)) {
	var records []func(context.Context)
	units := []string{"", "1", "%", "s", "ms", "By", "KiBy", "m/s", "By/min", "1/s", "{request}", "{request}/s", "Cel", "V.A", "_"}
	for n, unit := range units {
		u := metric.WithUnit(unit)
		name := func(kind string) string { return fmt.Sprintf("%s.of.unit.%d", kind, n) }
		ints, _ := m.Int64Counter(name("int.counter"), u)
		floats, _ := m.Float64Counter(name("float_counter"), u)
		intUpDown, _ := m.Int64UpDownCounter(name("int-updown"), u)
		floatUpDown, _ := m.Float64UpDownCounter(name("float/updown"), u)
		intGauge, _ := m.Int64Gauge(name("Int.Gauge"), u)
		intHistogram, _ := m.Int64Histogram(name("int.histogram"), u, metric.WithExplicitBucketBoundaries(1, 2, 3))
		noBuckets, _ := m.Float64Histogram(name("no.buckets"), u, metric.WithExplicitBucketBoundaries())
		observed := 0.0
		observe := func(_ context.Context, o metric.Float64Observer) error { o.Observe(observed, abcd); return nil }
		observeInt := func(_ context.Context, o metric.Int64Observer) error { o.Observe(int64(observed), other); return nil }
		_, _ = m.Float64ObservableCounter(name("observable.counter"), u, metric.WithFloat64Callback(observe))
		_, _ = m.Int64ObservableCounter(name("observable.int.counter"), u, metric.WithInt64Callback(observeInt))
		_, _ = m.Float64ObservableUpDownCounter(name("observable.updown"), u, metric.WithFloat64Callback(observe))
		_, _ = m.Int64ObservableUpDownCounter(name("observable.int.updown"), u, metric.WithInt64Callback(observeInt))
		_, _ = m.Float64ObservableGauge(name("observable.gauge"), u, metric.WithFloat64Callback(observe))
		_, _ = m.Int64ObservableGauge(name("observable.int.gauge"), u, metric.WithInt64Callback(observeInt))
		records = append(records, func(ctx context.Context) {
			observed += 1.5
			ints.Add(ctx, 3, abcd)
			floats.Add(ctx, 0.1, metric.WithAttributes(
				attribute.Float64Slice("floats", []float64{1.5, math.Inf(1)}), attribute.StringSlice("texts", []string{"a", `"b"`}),
				attribute.BoolSlice("bools", []bool{true}), attribute.Int64Slice("ints", nil), attribute.Float64("float", 1e21),
				attribute.String("0digit", "x"), attribute.String("__reserved", "x"), attribute.String("ünïcode", "ü\n\"\\"), attribute.String("empty", ""),
			))
			intUpDown.Add(ctx, -2, abcd)
			floatUpDown.Add(ctx, 0.5)
			intGauge.Record(ctx, int64(observed), other)
			intHistogram.Record(ctx, 2, abcd)
			noBuckets.Record(ctx, 0.25)
		})
	}
	return func(ctx context.Context) {
		for _, r := range records {
			r(ctx)
		}
	}
}

func TestSideBySide_BeyondTheCardinalityLimit(t *testing.T) {
	s := newSideBySide(t, setting{provider: []sdkmetric.Option{sdkmetric.WithCardinalityLimit(3)}})
	c, _ := s.meter().Int64Counter("c")
	s.ours() // the next collection is one period away: in deltas, the limit is that of one
	for i := range 10 {
		c.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", i)))
	}
	s.want(t)
	if p := s.ours(); p[`c_total{otel_metric_overflow="true",otel_scope_fizz="buzz",otel_scope_name="testmeter",otel_scope_version="v0.1.0"}`] != "8" {
		t.Errorf("what is beyond the limit is not shown: %v", p)
	}
}

// The official exporter has exponential histograms as native ones: count, sum and names agree.
func TestSideBySide_ExponentialHistograms(t *testing.T) {
	s := newSideBySide(t, setting{provider: []sdkmetric.Option{sdkmetric.WithView(sdkmetric.NewView(
		sdkmetric.Instrument{Name: "exponential_*"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 10}},
	))}})
	instruments{s.meter(), t.Context()}.histogram("exponential_baz", "By", "a very nice histogram", abcd)
	const series = `exponential_baz_bytes{A="B",C="D",E="true",F="42",otel_scope_fizz="buzz",otel_scope_name="testmeter",otel_scope_version="v0.1.0"}`
	theirs, err := s.official()
	if err != nil {
		t.Fatal(err)
	}
	ours := s.ours()
	if want := "4 236 1:0 4:0 16:1 64:2 256:4 1024:4"; len(ours[series]) < len(want) || ours[series][:len(want)] != want {
		t.Errorf("%s is %q, want it to begin with %q", series, ours[series], want)
	}
	ours[series] = "4 236"
	if d := ours.differences(theirs); d != "" {
		t.Errorf("the pages differ:\n%s", d)
	}
}
