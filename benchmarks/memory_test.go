// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// heap returns the bytes in use after garbage collection.
func heap() float64 {
	runtime.GC()
	runtime.GC() // a sync.Pool keeps its objects over one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkMemorySeries measures the bytes of a series with three labels of its own, its part
// of the index included. Each series was written once. The time of an iteration means nothing.
func BenchmarkMemorySeries(b *testing.B) {
	const series = 10_000
	names := []string{"method", "route", "code"}
	labels := func(i int) (method, route, code string) {
		return "GET", fmt.Sprintf("/shop/%d/items", i), "200"
	}
	for _, kind := range []struct {
		name          string
		shoal, golang func() (keep any, write func(i int))
	}{
		{"counter", func() (any, func(int)) {
			vec := shoal.New().NewCounterVec(shoal.CounterOpts{Name: "c_total"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Inc() }
		}, func() (any, func(int)) {
			vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Inc() }
		}},
		{"gauge", func() (any, func(int)) {
			vec := shoal.New().NewGaugeVec(shoal.GaugeOpts{Name: "g"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Set(1) }
		}, func() (any, func(int)) {
			vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Set(1) }
		}},
		{"summary", func() (any, func(int)) {
			vec := shoal.New().NewSummaryVec(shoal.SummaryOpts{Name: "s"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Observe(.3) }
		}, func() (any, func(int)) {
			vec := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "s"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Observe(.3) }
		}},
		{"histogram", func() (any, func(int)) {
			vec := shoal.New().NewHistogramVec(shoal.HistogramOpts{Name: "h"}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Observe(.3) }
		}, func() (any, func(int)) {
			vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets}, names)
			return vec, func(i int) { vec.WithLabelValues(labels(i)).Observe(.3) }
		}},
	} {
		for _, side := range []struct {
			name string
			make func() (any, func(int))
		}{{"shoal", kind.shoal}, {"client_golang", kind.golang}} {
			b.Run("kind="+kind.name+"/side="+side.name, func(b *testing.B) {
				taken := 0.0
				for b.Loop() {
					keep, write := side.make()
					before := heap()
					for i := range series {
						write(i)
					}
					taken += heap() - before
					runtime.KeepAlive(keep)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(taken/float64(b.N)/series, "B/series")
			})
		}
	}
}

// BenchmarkMemoryProcess measures the bytes of a connected process that declares nothing:
// shoal's own metrics, the client of Open with a connection, and the stacks of the
// goroutines.
func BenchmarkMemoryProcess(b *testing.B) {
	const processes = 50
	heaps, stacks := 0.0, 0.0
	round := 0
	for b.Loop() {
		before, stack := heap(), stackInUse()
		fleet := make([]*shoal.Registry, processes)
		for i := range fleet {
			fleet[i] = shoal.New()
			opts := shoal.Opts{App: "memory-process-" + strconv.Itoa(round)}
			if err := fleet[i].Open(redistest.Shared(b).URL(), opts); err != nil {
				b.Fatal(err)
			}
		}
		flushAll(b, fleet)
		heaps += heap() - before
		stacks += stackInUse() - stack
		ofAll(b, fleet, (*shoal.Registry).Close)
		round++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(heaps/float64(b.N)/processes, "B/process")
	b.ReportMetric(stacks/float64(b.N)/processes, "stack-B/process")
}

func stackInUse() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.StackInuse)
}

// BenchmarkMemoryAway measures by how many bytes a process grows while Redis is away for a
// minute and 400 series, half of them histograms, change in every interval. All runs ten
// times as fast as by default: flushes ten times a second, a back-off of at most a quarter of
// a second in place of 2 s, and lease, refresh and load accordingly. After the first sixth the
// growth is what the flush under way has frozen; from then on there should be none.
func BenchmarkMemoryAway(b *testing.B) {
	const speed = 10
	const minute = time.Minute / speed
	server := redistest.Start(b)
	reg := shoal.New()
	if err := reg.Open(server.URL(), shoal.Opts{
		App:           "memory-away",
		Interval:      shoal.DefInterval / speed,
		LeaseDuration: shoal.DefLeaseDuration / speed,
		RefreshPeriod: shoal.DefRefreshPeriod / speed,
		OnError:       func(error) {},
	}); err != nil {
		b.Fatal(err)
	}
	counters, histograms := changes(reg, 0), changes(reg, fleetFamilies)
	b.Cleanup(func() {
		if err := reg.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	work := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(shoal.DefInterval / speed) {
			counters()
			histograms()
		}
	}
	first, last := 0.0, 0.0
	for b.Loop() {
		work(minute / 6)
		flush(b, reg)
		before := heap()
		server.Kill()
		work(minute / 6)
		first += heap() - before
		work(minute * 5 / 6)
		last += heap() - before
		server.Restart(b)
		flush(b, reg)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(first/float64(b.N), "B-after-10s")
	b.ReportMetric(last/float64(b.N), "B-after-60s")
}
