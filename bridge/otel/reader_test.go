// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

func TestReader_AFlushHasWhatWasCountedBeforeIt(t *testing.T) {
	server := shoaltest.NewServer()
	one, two := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
	for _, reg := range []*shoal.Registry{one, two} {
		_, p := readerOf(t, reg, bare)
		c := counterIn(t, p, "c")
		for range 3 {
			c.Add(t.Context(), 1)
			must(t, reg.Flush(t.Context()))
		}
	}
	wantValue(t, one, "c_total", 6)
}

func TestReader_IsAskedOnceAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := shoaltest.NewServer()
		reg, other := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
		_, p := readerOf(t, reg, Opts{WithoutScopeInfo: true, Period: 20 * time.Second})
		c := counterIn(t, p, "c")
		c.Add(t.Context(), 1)
		time.Sleep(25 * time.Second) // a period, a flush and a page of another process, which asks nobody here
		wantValue(t, other, "c_total", 1)
		c.Add(t.Context(), 1)
		time.Sleep(10 * time.Second)
		wantValue(t, other, "c_total", 1)
		time.Sleep(15 * time.Second)
		wantValue(t, other, "c_total", 2)
	})
}

// Provider and registry may be closed in any order.
func TestReader_NothingIsLostWhereverItEnds(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, end := range map[string]func(t *testing.T, p *sdkmetric.MeterProvider, reg *shoal.Registry, connectAndCount func()){
		"the provider first": func(t *testing.T, p *sdkmetric.MeterProvider, reg *shoal.Registry, connectAndCount func()) {
			connectAndCount()
			must(t, p.Shutdown(t.Context()))
			must(t, reg.Close(t.Context()))
		},
		"the registry first": func(t *testing.T, p *sdkmetric.MeterProvider, reg *shoal.Registry, connectAndCount func()) {
			connectAndCount()
			must(t, reg.Close(t.Context()))
			must(t, p.Shutdown(t.Context()))
		},
		"the provider without time": func(t *testing.T, p *sdkmetric.MeterProvider, reg *shoal.Registry, connectAndCount func()) {
			connectAndCount()
			_ = p.Shutdown(ended) // it can't wait for the store, as Close does
			must(t, reg.Close(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := shoaltest.NewServer()
			reg, other := shoal.New(), server.New(t, shoal.Opts{})
			_, p := readerOf(t, reg, bare)
			c := counterIn(t, p, "c")
			c.Add(t.Context(), 7)
			end(t, p, reg, func() {
				must(t, server.Connect(reg, shoal.Opts{}))
				must(t, reg.Flush(t.Context()))
				c.Add(t.Context(), 4)
			})
			c.Add(t.Context(), 100) // goes nowhere
			wantValue(t, other, "c_total", 11)
		})
	}
}

func TestReader_WhatAProviderCountedThatEndedBeforeConnectIsDelivered(t *testing.T) {
	server := shoaltest.NewServer()
	reg := shoal.New()
	_, p := readerOf(t, reg, bare)
	counterIn(t, p, "c").Add(t.Context(), 7)
	if err := p.Shutdown(t.Context()); !errors.Is(err, shoal.ErrNotConnected) {
		t.Errorf("Shutdown: %v", err)
	}
	must(t, server.Connect(reg, shoal.Opts{}))
	must(t, reg.Close(t.Context()))
	wantValue(t, server.New(t, shoal.Opts{}), "c_total", 7)
}

func TestReader_ShutdownDeletesTheGauges(t *testing.T) {
	server := shoaltest.NewServer()
	reg, other := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
	_, p := readerOf(t, reg, Opts{WithoutScopeInfo: true})
	u, err := p.Meter("m").Int64UpDownCounter("u")
	must(t, err)
	u.Add(t.Context(), 3)
	counterIn(t, p, "c").Add(t.Context(), 1)
	must(t, p.ForceFlush(t.Context()))
	wantValue(t, other, "u", 3)
	wantValue(t, other, "target_info", 1)
	late, err := p.Meter("m").Int64UpDownCounter("late")
	must(t, err)
	late.Add(t.Context(), 3)
	must(t, p.Shutdown(t.Context()))
	wantValue(t, other, "late", -1)
	wantValue(t, other, "u", -1)
	wantValue(t, other, "target_info", -1)
	wantValue(t, other, "c_total", 1)
}

func TestReader_UpDownCountersAreTheSumOfTheLivingAndTargetInfoIsThereOnce(t *testing.T) {
	server := shoaltest.NewServer()
	var regs []*shoal.Registry
	for i := range 3 {
		reg := server.New(t, shoal.Opts{})
		_, p := readerOf(t, reg, Opts{WithoutScopeInfo: true})
		u, err := p.Meter("m").Int64UpDownCounter("u")
		must(t, err)
		u.Add(t.Context(), int64(i))
		must(t, p.ForceFlush(t.Context()))
		regs = append(regs, reg)
	}
	wantValue(t, regs[0], "u", 0+1+2)
	wantValue(t, regs[0], "target_info", 1)
	must(t, regs[2].Close(t.Context()))
	wantValue(t, regs[0], "u", 0+1)
}

// A failing callback is the program's affair. What others counted must not go with it, since in
// deltas it is given once only.
func TestReader_AFailingCallbackLosesNothing(t *testing.T) {
	var reports atomic.Int64
	reg := shoaltest.NewServer().New(t, shoal.Opts{OnError: func(err error) {
		if strings.Contains(err.Error(), "the database is away") {
			reports.Add(1)
		}
	}})
	_, p := readerOf(t, reg, bare)
	c := counterIn(t, p, "c")
	_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		return errors.New("the database is away")
	}))
	must(t, err)
	for range 3 {
		c.Add(t.Context(), 1)
		must(t, p.ForceFlush(t.Context()))
	}
	wantValue(t, reg, "c_total", 3)
	if n := reports.Load(); n != 1 {
		t.Errorf("%d reports, want one a minute", n)
	}
}

func TestReader_ACallbackThatPanicsHarmsNobody(t *testing.T) {
	var told atomic.Int64
	reg := shoaltest.NewServer().New(t, shoal.Opts{OnError: func(error) { told.Add(1) }})
	_, p := readerOf(t, reg, bare)
	c := counterIn(t, p, "c")
	var panics atomic.Bool
	_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		if panics.Load() {
			panic("a bug")
		}
		return nil
	}))
	must(t, err)
	for i := range 4 {
		panics.Store(i%2 == 0)
		c.Add(t.Context(), 1)
		must(t, p.ForceFlush(t.Context()))
	}
	wantValue(t, reg, "c_total", 4)
	if told.Load() == 0 {
		t.Error("nobody was told")
	}
	panics.Store(true)
	if err := p.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "is lost: a callback or a producer panicked") {
		t.Errorf("Shutdown: %v", err)
	}
}

// In deltas, the SDK would give the whole value again after a callback that did not observe once,
// and a negative one after a fall.
func TestReader_ObservableCountersThatPauseOrFall(t *testing.T) {
	for name, temporality := range map[string]sdkmetric.TemporalitySelector{"by default": nil, "delta": sdkmetric.DeltaTemporalitySelector} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			_, p := readerOf(t, reg, Opts{WithoutScopeInfo: true, Temporality: temporality})
			var v atomic.Int64
			_, err := p.Meter("m").Int64ObservableCounter("c", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				if v.Load() > 0 {
					o.Observe(v.Load())
				}
				return nil
			}))
			must(t, err)
			for _, step := range []struct {
				observed int64
				want     float64
			}{{5, 5}, {0, 5}, {6, 6}, {2, 8}, {2, 8}, {3, 9}} {
				v.Store(step.observed)
				must(t, p.ForceFlush(t.Context()))
				wantValue(t, reg, "c_total", step.want)
			}
		})
	}
}

func TestReader_GaugesAndUpDownCountersStayWhateverTheTemporality(t *testing.T) {
	reg := shoaltest.New(t)
	_, p := readerOf(t, reg, Opts{WithoutScopeInfo: true, Temporality: always(delta)})
	g, err := p.Meter("m").Int64Gauge("g")
	must(t, err)
	u, err := p.Meter("m").Int64UpDownCounter("u")
	must(t, err)
	g.Record(t.Context(), 4)
	for i := range 3 {
		u.Add(t.Context(), 1)
		must(t, p.ForceFlush(t.Context()))
		wantValue(t, reg, "g", 4)
		wantValue(t, reg, "u", float64(i+1))
	}
}

func TestReader_WithoutAProviderOrAfterItNothingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := shoaltest.New(t)
		r, err := NewReader(reg, Opts{})
		must(t, err)
		time.Sleep(20 * time.Second)
		p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))
		counterIn(t, p, "c").Add(t.Context(), 1)
		time.Sleep(20 * time.Second)
		must(t, p.Shutdown(t.Context()))
		time.Sleep(20 * time.Second)
		if err := r.Shutdown(t.Context()); !errors.Is(err, sdkmetric.ErrReaderShutdown) {
			t.Errorf("a second Shutdown: %v", err)
		}
		families, err := reg.Gather()
		must(t, err)
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "shoal_source_failures_total" && m.Counter.GetValue() != 0 {
					t.Errorf("failures: %v", m)
				}
			}
		}
	})
}

// The registry waits for half a second only when it asks a source for the last time.
func TestReader_ShutdownWaitsForASlowCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := shoaltest.New(t)
		_, p := readerOf(t, reg, bare)
		c := counterIn(t, p, "c")
		var running atomic.Int64
		_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
			running.Add(1)
			time.Sleep(3 * time.Second)
			running.Add(-1)
			return nil
		}))
		must(t, err)
		time.Sleep(6 * time.Second) // the registry's own call is under way now
		c.Add(t.Context(), 1)
		must(t, p.Shutdown(t.Context()))
		if n := running.Load(); n != 0 {
			t.Errorf("after Shutdown %d collections are under way", n)
		}
		wantValue(t, reg, "c_total", 1)
	})
}

func TestReader_ShutdownEndsWithItsContextWhereACallbackHangs(t *testing.T) {
	reg := shoaltest.New(t)
	_, p := readerOf(t, reg, bare)
	counterIn(t, p, "c").Add(t.Context(), 1)
	release, hangs := make(chan struct{}), make(chan struct{}, 10)
	_, err := p.Meter("m").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		hangs <- struct{}{}
		<-release
		return nil
	}))
	must(t, err)
	defer close(release)
	go func() { _ = reg.Flush(context.Background()) }()
	<-hangs
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not returned") {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestReader_CollectIsTheRegistrysAlone(t *testing.T) {
	reg := shoaltest.New(t)
	r, p := readerOf(t, reg, bare)
	counterIn(t, p, "c").Add(t.Context(), 1)
	if err := r.Collect(t.Context(), &metricdata.ResourceMetrics{}); !errors.Is(err, ErrCollect) {
		t.Errorf("Collect: %v", err)
	}
	must(t, p.ForceFlush(t.Context()))
	wantValue(t, reg, "c_total", 1)
}

func TestReader_PassesTheSDKsOptionsOn(t *testing.T) {
	reg := shoaltest.New(t)
	r, err := NewReader(reg, bare,
		sdkmetric.WithProducer(producer{}),
		sdkmetric.WithTemporalitySelector(sdkmetric.DeltaTemporalitySelector), // ours come last
		sdkmetric.WithCardinalityLimitSelector(func(sdkmetric.InstrumentKind) (int, bool) { return 2, false }))
	must(t, err)
	p := sdkmetric.NewMeterProvider(sdkmetric.WithResource(resource.Empty()), sdkmetric.WithReader(r))
	c := counterIn(t, p, "c")
	must(t, p.ForceFlush(t.Context())) // the next collection is one period away: the limit is that of one
	for i := range 10 {
		c.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", i)))
	}
	for range 3 {
		must(t, p.ForceFlush(t.Context()))
	}
	if got := shoaltest.Value(t, reg, "c_total", "otel_metric_overflow", "true"); got != 9 {
		t.Errorf("the overflow series has %v, want 9", got)
	}
	wantValue(t, reg, "produced_total", 5) // a total, given three times
}

// producer gives what another client has counted, as a bridge does.
type producer struct{}

func (producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	return []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{counterOf("produced", cumulative, metricdata.DataPoint[int64]{Value: 5})}}}, nil
}

// brokenProducer panics, after the SDK has given what its instruments counted.
type brokenProducer struct{}

func (brokenProducer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) { panic("a bug") }

func TestReader_AProducerThatPanicsLosesNothing(t *testing.T) {
	var told atomic.Int64
	reg := shoaltest.NewServer().New(t, shoal.Opts{OnError: func(error) { told.Add(1) }})
	r, err := NewReader(reg, bare, sdkmetric.WithProducer(brokenProducer{}))
	must(t, err)
	p := sdkmetric.NewMeterProvider(sdkmetric.WithResource(resource.Empty()), sdkmetric.WithReader(r))
	c := counterIn(t, p, "c")
	for range 3 {
		c.Add(t.Context(), 1)
		must(t, p.ForceFlush(t.Context()))
	}
	wantValue(t, reg, "c_total", 3)
	c.Add(t.Context(), 1)
	if err := p.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "a callback or a producer panicked: a bug") {
		t.Errorf("Shutdown: %v", err)
	}
	wantValue(t, reg, "c_total", 4)
	if told.Load() == 0 {
		t.Error("nobody was told")
	}
}

func TestReader_WritesCollectionsFlushesAndShutdownAtOnce(t *testing.T) {
	server := shoaltest.NewServer()
	reg, other := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
	_, p := readerOf(t, reg, bare)
	c := counterIn(t, p, "c")
	var writers, askers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		writers.Go(func() {
			for range 2000 {
				c.Add(context.Background(), 1)
			}
		})
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = reg.Flush(context.Background())
					_, _ = reg.Gather()
				}
			}
		})
	}
	writers.Wait()
	must(t, p.Shutdown(t.Context()))
	close(stop)
	askers.Wait()
	wantValue(t, other, "c_total", 8000)
}
