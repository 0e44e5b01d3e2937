// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
)

// observation values that fall into several of the twelve buckets.
var latencies = []float64{.003, .02, .07, .3, .9, 4}

// pair is the same work for shoal and for client_golang.
type pair struct {
	name          string
	shoal, golang func(i int)
}

func hotPaths() []pair {
	reg := shoal.New()
	labels := []string{"method", "route", "code"}
	sc := reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
	sg := reg.NewGauge(shoal.GaugeOpts{Name: "g"})
	sh := reg.NewHistogram(shoal.HistogramOpts{Name: "h"})
	ss := reg.NewSummary(shoal.SummaryOpts{Name: "s"})
	sv := reg.NewCounterVec(shoal.CounterOpts{Name: "v_total"}, labels)
	shv := reg.NewHistogramVec(shoal.HistogramOpts{Name: "hv"}, labels)
	gc := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total"})
	gg := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	gh := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets})
	gs := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s"})
	gv := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "v_total"}, labels)
	ghv := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hv", Buckets: prometheus.DefBuckets}, labels)
	routes := make([]string, 1000)
	for i := range routes {
		routes[i] = fmt.Sprintf("/shop/%d/items", i)
	}
	route := func(i int) string { return routes[i%len(routes)] }
	latency := func(i int) float64 { return latencies[i%len(latencies)] }
	return []pair{
		{"CounterInc", func(int) { sc.Inc() }, func(int) { gc.Inc() }},
		{"CounterAddFloat", func(int) { sc.Add(.5) }, func(int) { gc.Add(.5) }},
		{"GaugeSet", func(i int) { sg.Set(float64(i)) }, func(i int) { gg.Set(float64(i)) }},
		{"HistogramObserve", func(i int) { sh.Observe(latency(i)) }, func(i int) { gh.Observe(latency(i)) }},
		{"SummaryObserve", func(i int) { ss.Observe(latency(i)) }, func(i int) { gs.Observe(latency(i)) }},
		{"CounterWithLabelValues3",
			func(i int) { sv.WithLabelValues("GET", route(i), "200").Inc() },
			func(i int) { gv.WithLabelValues("GET", route(i), "200").Inc() }},
		{"HistogramWithLabelValues3",
			func(i int) { shv.WithLabelValues("GET", route(i), "200").Observe(latency(i)) },
			func(i int) { ghv.WithLabelValues("GET", route(i), "200").Observe(latency(i)) }},
	}
}

func BenchmarkHotPath(b *testing.B) {
	for _, p := range hotPaths() {
		for _, side := range []struct {
			name string
			work func(int)
		}{{"shoal", p.shoal}, {"client_golang", p.golang}} {
			b.Run(p.name+"/serial/"+side.name, func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					side.work(i)
				}
			})
			b.Run(p.name+"/parallel/"+side.name, func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						side.work(i)
					}
				})
			})
		}
	}
}
