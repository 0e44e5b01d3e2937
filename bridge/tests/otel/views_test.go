// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/trace"
)

// view is one for the instruments of a name.
func view(name string, s sdkmetric.Stream) sdkmetric.Option {
	return sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: name}, s))
}

// wantTwice records twice, and wants equal pages after each time.
func wantTwice(t *testing.T, s setting, record func(i instruments)) {
	t.Helper()
	for _, s.pushed = range []bool{false, true} {
		s := newSideBySide(t, s)
		for range 2 {
			record(instruments{s.meter(), t.Context()})
			s.want(t)
		}
	}
}

func TestSideBySide_NamesWithEverySuffixInEveryUnit(t *testing.T) {
	wantTwice(t, setting{}, func(i instruments) {
		for n, unit := range []string{"", "1", "%", "s", "ms", "By/s", "{request}"} {
			for _, name := range []string{
				"a_total", "b.ratio", "c_bucket", "d_count", "e_sum", "f.total.total", "g_info", "h_created",
				"i_seconds_total", "total", "k_total_ratio", "l.bytes", "total.m", "n_total_seconds", "p__q", "r_per_second",
			} {
				prefix := fmt.Sprintf("of_unit_%d_", n)
				i.count(prefix+"counter_"+name, unit, "")
				i.updown(prefix+"updown_"+name, unit, "", 7)
				i.gauge(prefix+"gauge_"+name, unit, "", 7)
				i.histogram(prefix+"histogram_"+name, unit, "")
			}
		}
	})
}

// The SDK takes any name from a view.
func TestSideBySide_NamesThatAViewMakes(t *testing.T) {
	names := []string{"größe/π", "with space and\nnewline", "日本", "__a__b__", "a:b", "0"}
	var s setting
	for n, name := range names {
		s.provider = append(s.provider, view(fmt.Sprint("renamed.", n), sdkmetric.Stream{Name: name, Unit: "By", Description: "by a view"}))
	}
	wantTwice(t, s, func(i instruments) {
		for n := range names {
			i.count(fmt.Sprint("renamed.", n), "s", "of the instrument")
		}
	})
}

func TestSideBySide_WhatViewsChange(t *testing.T) {
	none, bounds := attribute.NewAllowKeysFilter(), sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{-1, 0, 9, 100}, NoMinMax: true}
	wantTwice(t, setting{provider: []sdkmetric.Option{
		view("dropped", sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}),
		view("merged.*", sdkmetric.Stream{AttributeFilter: none}),
		view("one", sdkmetric.Stream{Name: "another"}), view("two", sdkmetric.Stream{Name: "another"}),
		view("summed", sdkmetric.Stream{Aggregation: sdkmetric.AggregationSum{}}),
		view("*.with.bounds", sdkmetric.Stream{Aggregation: bounds}),
		view("twice", sdkmetric.Stream{Name: "first", Aggregation: bounds}), view("twice", sdkmetric.Stream{Name: "second", Aggregation: sdkmetric.AggregationSum{}}),
		sdkmetric.WithExemplarFilter(exemplar.TraceBasedFilter),
	}}, func(i instruments) {
		i.ctx = trace.ContextWithSpanContext(i.ctx, trace.NewSpanContext(
			trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled}))
		for _, attributes := range []metric.MeasurementOption{abcd, other} {
			for _, name := range []string{"dropped", "merged.counter", "one", "two", "counter.with.bounds"} {
				i.count(name, "s", "", attributes)
			}
			i.updown("merged.updown", "", "", 7, attributes)
			i.updown("updown.with.bounds", "", "", 7, attributes)
			i.gauge("merged.gauge", "", "", 7, attributes)
			i.gauge("gauge.with.bounds", "", "", 7, attributes)
			for _, name := range []string{"merged.histogram", "summed", "twice"} {
				i.histogram(name, "", "", attributes)
			}
		}
	})
}
