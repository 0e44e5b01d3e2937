// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

func exporterOf(t *testing.T, reg *shoal.Registry, o Opts, options ...sdkmetric.PeriodicReaderOption) (*Exporter, *sdkmetric.MeterProvider) {
	t.Helper()
	e, err := NewExporter(reg, o)
	must(t, err)
	return e, sdkmetric.NewMeterProvider(sdkmetric.WithResource(resource.Empty()), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(e, options...)))
}

func TestExporter_ForceFlushAndShutdownDeliver(t *testing.T) {
	server := shoaltest.NewServer()
	reg, other := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
	e, p := exporterOf(t, reg, Opts{WithoutScopeInfo: true})
	c := counterIn(t, p, "c")
	u, err := p.Meter("m").Int64UpDownCounter("u")
	must(t, err)
	u.Add(t.Context(), 2)
	for range 3 {
		c.Add(t.Context(), 1)
		must(t, p.ForceFlush(t.Context()))
	}
	wantValue(t, other, "c_total", 3)
	wantValue(t, other, "u", 2)
	wantValue(t, other, "target_info", 1)
	c.Add(t.Context(), 4)
	must(t, p.Shutdown(t.Context()))
	wantValue(t, other, "c_total", 7)
	wantValue(t, other, "u", -1)
	wantValue(t, other, "target_info", -1)

	if err := e.Export(t.Context(), collection(counterOf("c", delta, pointOf[int64](1)))); !errors.Is(err, sdkmetric.ErrExporterShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	if err := e.Shutdown(t.Context()); !errors.Is(err, sdkmetric.ErrExporterShutdown) {
		t.Errorf("a second Shutdown: %v", err)
	}
	wantValue(t, other, "c_total", 7)
}

func TestExporter_ShutdownAfterTheRegistryWasClosed(t *testing.T) {
	server := shoaltest.NewServer()
	reg, other := shoal.New(), server.New(t, shoal.Opts{})
	must(t, server.Connect(reg, shoal.Opts{}))
	_, p := exporterOf(t, reg, bare)
	counterIn(t, p, "c").Add(t.Context(), 1)
	must(t, p.ForceFlush(t.Context()))
	must(t, reg.Close(t.Context()))
	must(t, p.Shutdown(t.Context()))
	wantValue(t, other, "c_total", 1)
}

func TestExporter_TemporalityAndAggregation(t *testing.T) {
	e, err := NewExporter(shoal.New(), Opts{})
	must(t, err)
	chosen, err := NewExporter(shoal.New(), Opts{Temporality: always(delta)})
	must(t, err)
	for kind, want := range map[sdkmetric.InstrumentKind]metricdata.Temporality{
		sdkmetric.InstrumentKindCounter: delta, sdkmetric.InstrumentKindHistogram: delta,
		sdkmetric.InstrumentKindObservableCounter: cumulative, // see TestReader_ObservableCountersThatPauseOrFall
		sdkmetric.InstrumentKindUpDownCounter:     cumulative, sdkmetric.InstrumentKindObservableUpDownCounter: cumulative,
		sdkmetric.InstrumentKindGauge: cumulative, sdkmetric.InstrumentKindObservableGauge: cumulative,
	} {
		if got, other := e.Temporality(kind), chosen.Temporality(kind); got != want || other != want {
			t.Errorf("%v: %v and %v, want %v", kind, got, other, want)
		}
		if got := e.Aggregation(kind); got == nil {
			t.Errorf("%v has no aggregation", kind)
		}
	}
	own := sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 20}
	e, err = NewExporter(shoal.New(), Opts{Aggregation: func(sdkmetric.InstrumentKind) sdkmetric.Aggregation { return own }})
	must(t, err)
	if got := e.Aggregation(sdkmetric.InstrumentKindHistogram); got != sdkmetric.Aggregation(own) {
		t.Errorf("the aggregation is %v", got)
	}
}

// always is a selector that chooses one temporality for everything.
func always(t metricdata.Temporality) sdkmetric.TemporalitySelector {
	return func(sdkmetric.InstrumentKind) metricdata.Temporality { return t }
}

func TestExporter_EveryTemporalityCountsOnce(t *testing.T) {
	for name, temporality := range map[string]sdkmetric.TemporalitySelector{
		"cumulative": sdkmetric.CumulativeTemporalitySelector, "delta": sdkmetric.DeltaTemporalitySelector, "low memory": sdkmetric.LowMemoryTemporalitySelector,
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			o := bare
			o.Temporality = temporality
			_, p := exporterOf(t, reg, o)
			c := counterIn(t, p, "c")
			h, err := p.Meter("m").Float64Histogram("h")
			must(t, err)
			var observed atomic.Int64
			_, err = p.Meter("m").Int64ObservableCounter("o", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(observed.Add(1))
				return nil
			}))
			must(t, err)
			for range 3 {
				c.Add(t.Context(), 2)
				h.Record(t.Context(), 1)
				must(t, p.ForceFlush(t.Context()))
			}
			wantValue(t, reg, "c_total", 6)
			wantValue(t, reg, "h", 3)
			wantValue(t, reg, "o_total", 3)
			must(t, p.Shutdown(t.Context()))
		})
	}
}

// Where a callback fails, a PeriodicReader does not export what it has collected. Totals have it
// the next time.
func TestExporter_WithTotalsAFailingCallbackLosesNothing(t *testing.T) {
	reg := shoaltest.New(t)
	o := bare
	o.Temporality = sdkmetric.CumulativeTemporalitySelector
	_, p := exporterOf(t, reg, o)
	var fails atomic.Bool
	_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		if fails.Load() {
			return errors.New("the database is away")
		}
		return nil
	}))
	must(t, err)
	c := counterIn(t, p, "c")
	for _, failing := range []bool{false, true, true, false} {
		fails.Store(failing)
		c.Add(t.Context(), 1)
		if err := p.ForceFlush(t.Context()); (err != nil) != failing {
			t.Errorf("ForceFlush: %v", err)
		}
	}
	wantValue(t, reg, "c_total", 4)
	must(t, p.Shutdown(t.Context()))
}

// An error of Export would keep the reader's ForceFlush from delivering the rest.
func TestExporter_WhatIsRefusedIsReportedOnceAndLeavesTheRestAlone(t *testing.T) {
	reg := shoaltest.New(t)
	reg.NewGauge(shoal.GaugeOpts{Name: "mine_total"}).Set(5)
	_, p := exporterOf(t, reg, bare)
	errs := handledBy(func() {
		for range 3 {
			counterIn(t, p, "mine").Add(t.Context(), 1)
			counterIn(t, p, "good").Add(t.Context(), 1)
			g, err := p.Meter("m").Int64Gauge("good_total")
			must(t, err)
			g.Record(t.Context(), 1)
			must(t, p.ForceFlush(t.Context()))
		}
	})
	wantValue(t, reg, "good_total", 3)
	if len(errs) != 2 || !strings.Contains(errors.Join(errs...).Error(), `import of counter "mine_total"`) ||
		!strings.Contains(errors.Join(errs...).Error(), "good_total: a gauge is left out") {
		t.Errorf("otel.Handle got %d errors: %v", len(errs), errs)
	}
	must(t, p.Shutdown(t.Context()))
}

func TestExporter_SaysWhatToDoIfTheRegistryIsClosedFirst(t *testing.T) {
	reg := shoaltest.New(t)
	_, p := exporterOf(t, reg, bare)
	counterIn(t, p, "c").Add(t.Context(), 1)
	must(t, reg.Close(t.Context()))
	errs := handledBy(func() { must(t, p.Shutdown(t.Context())) })
	if len(errs) != 1 || !errors.Is(errs[0], shoal.ErrClosed) || !strings.Contains(errs[0].Error(), "shut the provider down before") {
		t.Errorf("otel.Handle got %v", errs)
	}
}

func TestExporter_GaugesOfAllBatchesOfACollectionStayAndOthersGo(t *testing.T) {
	for _, batch := range []int{0, 1, 2, 3, 5} {
		reg := shoaltest.New(t)
		_, p := exporterOf(t, reg, Opts{WithoutScopeInfo: true}, sdkmetric.WithMaxExportBatchSize(batch))
		var n atomic.Int64
		_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for i := range n.Load() {
				o.Observe(10*n.Load()+i, metric.WithAttributes(attribute.Int64("i", i)))
			}
			return nil
		}))
		must(t, err)
		c := counterIn(t, p, "c")
		for round, want := range []int64{5, 2, 4, 1} {
			n.Store(want)
			c.Add(t.Context(), 1)
			must(t, p.ForceFlush(t.Context()))
			families, err := reg.Gather()
			must(t, err)
			shown := 0
			for _, f := range families {
				if f.GetName() == "g" {
					shown = len(f.Metric)
					for _, m := range f.Metric {
						if got := int64(m.Gauge.GetValue()); got/10 != want {
							t.Errorf("batches of %d, round %d: an old value %d", batch, round, got)
						}
					}
				}
			}
			if shown != int(want) {
				t.Errorf("batches of %d, round %d: %d gauges, want %d", batch, round, shown, want)
			}
			wantValue(t, reg, "target_info", 1)
		}
		wantValue(t, reg, "c_total", 4)
		must(t, p.Shutdown(t.Context()))
	}
}

func TestReporter_ReportsEachTextOnce(t *testing.T) {
	var r reporter
	first, second := errors.New("first"), errors.New("second")
	errs := handledBy(func() {
		r.report(nil)
		r.report(errors.Join(first, errors.Join(second, first)))
		r.report(errors.New("first"))
	})
	if len(errs) != 2 || errs[0] != first || errs[1] != second {
		t.Errorf("got %v", errs)
	}
	for range 3 * maxReported { // bounded, whatever the texts are
		r.report(errors.New(strings.Repeat("x", len(r.seen))))
	}
	if len(r.seen) > maxReported {
		t.Errorf("%d texts are kept", len(r.seen))
	}
}

func TestExporter_TheErrorHandlerMayShutItDown(t *testing.T) {
	e, err := NewExporter(shoal.New(), bare)
	must(t, err)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { _ = e.Shutdown(t.Context()) }))
	defer otel.SetErrorHandler(otel.ErrorHandlerFunc(handle))
	exported := make(chan error)
	go func() {
		exported <- e.Export(t.Context(), collection(counterOf("shoal_x", metricdata.DeltaTemporality, pointOf[int64](1))))
	}()
	select {
	case err := <-exported:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Error("Export does not return")
	}
}
