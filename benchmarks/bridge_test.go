// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// mixed is 10,000 series: 5,000 counters, 3,000 gauges and 2,000 histograms of 12 buckets.
type mixed[C interface{ Add(float64) }, G interface{ Set(float64) }, H interface{ Observe(float64) }] struct {
	counters   []C
	gauges     []G
	histograms []H
	changes    int
}

const mixedSeries = 10_000

var bridgeLabels = []string{"code", "method", "route"}

func newMixed[C interface{ Add(float64) }, G interface{ Set(float64) }, H interface{ Observe(float64) }](
	c func(...string) C, g func(...string) G, h func(...string) H,
) *mixed[C, G, H] {
	m := &mixed[C, G, H]{}
	for i := range mixedSeries {
		labels := []string{"200", "GET", "/items/" + strconv.Itoa(i)}
		switch {
		case i < 5000:
			m.counters = append(m.counters, c(labels...))
		case i < 8000:
			m.gauges = append(m.gauges, g(labels...))
		default:
			m.histograms = append(m.histograms, h(labels...))
		}
	}
	m.change()
	return m
}

// change gives every series another value.
func (m *mixed[C, G, H]) change() {
	m.changes++
	for _, c := range m.counters {
		c.Add(1)
	}
	for _, g := range m.gauges {
		g.Set(float64(m.changes))
	}
	for _, h := range m.histograms {
		h.Observe(.02)
		h.Observe(.3)
	}
}

// golang returns a registry of client_golang with the series, and what changes them.
func golang() (*prometheus.Registry, func()) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, bridgeLabels)
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, bridgeLabels)
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets}, bridgeLabels)
	reg.MustRegister(c, g, h)
	return reg, newMixed(c.WithLabelValues, g.WithLabelValues, h.WithLabelValues).change
}

// gated is a gatherer that the benchmark lets gather once at a time. A call waits at the gate as soon
// as the registry has imported what the one before gave.
type gated struct {
	prometheus.Gatherer
	arrived, pass chan struct{}
	open          atomic.Bool // all calls pass, and give nothing
	gathered      time.Time   // when the last call returned; read it while a call waits
	importing     time.Duration
}

var errNothing = errors.New("nothing is gathered")

func (g *gated) Gather() ([]*dto.MetricFamily, error) {
	if g.open.Load() {
		return nil, errNothing
	}
	g.arrived <- struct{}{}
	<-g.pass
	if g.open.Load() {
		return nil, errNothing
	}
	defer func() { g.gathered = time.Now() }()
	return g.Gatherer.Gather()
}

// once lets one call gather, and waits until what it gave is imported.
func (g *gated) once() {
	g.pass <- struct{}{}
	<-g.arrived
	g.importing += time.Since(g.gathered)
}

// without calls f while nothing is gathered.
func (g *gated) without(f func()) {
	g.open.Store(true)
	g.pass <- struct{}{}
	f()
	g.open.Store(false)
	<-g.arrived
}

// gatedBridge bridges a gatherer, and imports all of it once. period is how long a call of it takes
// to arrive after the one before.
func gatedBridge(b *testing.B, reg *shoal.Registry, from prometheus.Gatherer, period time.Duration) *gated {
	b.Helper()
	g := &gated{Gatherer: from, arrived: make(chan struct{}), pass: make(chan struct{})}
	if _, err := shoalprom.Bridge(reg, g, shoalprom.Opts{Period: period}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // before the registry is closed
		g.open.Store(true)
		g.pass <- struct{}{}
	})
	<-g.arrived
	g.once()
	return g
}

// BenchmarkBridge compares Gather alone with Gather and the import of what it gives. Both have the same
// heap, and where all changes, both send it between two iterations. import-ns/op is
// the part of the import, of which some 50 µs are for the registry to begin the next one, and
// gathers/op is how many times as long as its own Gather the whole took.
func BenchmarkBridge(b *testing.B) {
	for _, changed := range []string{"none", "all"} {
		b.Run("changed="+changed+"/side=gather", func(b *testing.B) {
			from, change := golang()
			reg := connected(b, redistest.Shared(b), app(b))
			if _, err := shoalprom.Bridge(reg, from, shoalprom.Opts{Period: time.Hour}); err != nil {
				b.Fatal(err)
			}
			flush(b, reg)
			b.ReportAllocs()
			for b.Loop() {
				if changed == "all" {
					b.StopTimer()
					flush(b, reg)
					change()
					b.StartTimer()
				}
				if _, err := from.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("changed="+changed+"/side=bridge", func(b *testing.B) {
			from, change := golang()
			reg := connected(b, redistest.Shared(b), app(b))
			g := gatedBridge(b, reg, from, 100*time.Microsecond)
			g.without(func() { flush(b, reg) })
			b.ReportAllocs()
			g.importing = 0
			for b.Loop() {
				if changed == "all" {
					b.StopTimer()
					g.without(func() { flush(b, reg) })
					change()
					b.StartTimer()
				}
				g.once()
			}
			b.ReportMetric(float64(g.importing.Nanoseconds())/float64(b.N), "import-ns/op")
			b.ReportMetric(float64(b.Elapsed())/float64(b.Elapsed()-g.importing), "gathers/op")
		})
	}
}

// BenchmarkBridgeFlush sends what was imported, beside the same values of shoal's own metrics.
func BenchmarkBridgeFlush(b *testing.B) {
	server := redistest.Shared(b)
	b.Run("side=bridge", func(b *testing.B) {
		from, change := golang()
		reg := connected(b, server, app(b))
		g := gatedBridge(b, reg, from, 100*time.Millisecond) // once for a flush, as in a program
		g.without(func() { flush(b, reg) })
		for b.Loop() {
			b.StopTimer()
			change()
			g.once()
			g.without(func() {
				b.StartTimer()
				flush(b, reg)
				b.StopTimer()
			})
			b.StartTimer()
		}
	})
	b.Run("side=native", func(b *testing.B) {
		reg := connected(b, server, app(b))
		c := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, bridgeLabels)
		g := reg.NewGaugeVec(shoal.GaugeOpts{Name: "g"}, bridgeLabels)
		h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h"}, bridgeLabels)
		change := newMixed(c.WithLabelValues, g.WithLabelValues, h.WithLabelValues).change
		flush(b, reg)
		for b.Loop() {
			b.StopTimer()
			change()
			b.StartTimer()
			flush(b, reg)
		}
	})
}

// BenchmarkBridgeInc is what a request pays: client_golang's Inc, alone, while a goroutine calls Gather
// ten times a second, and while a bridge does.
func BenchmarkBridgeInc(b *testing.B) {
	const period = 100 * time.Millisecond
	for _, side := range []string{"alone", "gather", "bridge"} {
		b.Run("side="+side, func(b *testing.B) {
			from, _ := golang()
			c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"code"})
			from.MustRegister(c)
			child := c.WithLabelValues("200")
			switch side {
			case "gather":
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(stopped)
					for {
						select {
						case <-stop:
							return
						case <-time.After(period):
							_, _ = from.Gather()
						}
					}
				}()
				b.Cleanup(func() { close(stop); <-stopped })
			case "bridge":
				reg := connected(b, redistest.Shared(b), app(b))
				if _, err := shoalprom.Bridge(reg, from, shoalprom.Opts{Period: period}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				child.Inc()
			}
		})
	}
}

// BenchmarkBridgeMemory measures the bytes that a series takes that is imported, beside those that
// it takes in client_golang itself. The time of an iteration means nothing.
func BenchmarkBridgeMemory(b *testing.B) {
	const series = 10_000
	for _, kind := range []string{"counter", "gauge", "histogram"} {
		fill := func(reg *prometheus.Registry) {
			c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "m"}, bridgeLabels)
			g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "m"}, bridgeLabels)
			h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "m", Buckets: prometheus.DefBuckets}, bridgeLabels)
			reg.MustRegister(map[string]prometheus.Collector{"counter": c, "gauge": g, "histogram": h}[kind])
			for i := range series {
				labels := []string{"200", "GET", fmt.Sprintf("/shop/%d/items", i)}
				switch kind {
				case "counter":
					c.WithLabelValues(labels...).Inc()
				case "gauge":
					g.WithLabelValues(labels...).Set(1)
				default:
					h.WithLabelValues(labels...).Observe(.3)
				}
			}
		}
		taken := map[string]float64{}
		measure := func(side string) func(b *testing.B) {
			return func(b *testing.B) {
				for b.Loop() {
					from, before := prometheus.NewRegistry(), heap()
					fill(from)
					filled := heap()
					taken["client_golang"] = filled - before
					if side == "bridge" {
						reg := connected(b, redistest.Shared(b), app(b)+strconv.Itoa(b.N))
						g := gatedBridge(b, reg, from, 100*time.Microsecond)
						g.without(func() { flush(b, reg) })
						taken["bridge"] = heap() - filled
						runtime.KeepAlive(reg)
					}
					runtime.KeepAlive(from)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(taken[side]/series, "B/series")
			}
		}
		b.Run("kind="+kind+"/side=bridge", measure("bridge"))
		b.Run("kind="+kind+"/side=client_golang", measure("client_golang"))
	}
}
