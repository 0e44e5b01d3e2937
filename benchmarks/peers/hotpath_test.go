// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
)

// loop does the work for the numbers from..to. Each side has a loop with direct
// calls: a call through a function value would take as long as Inc itself.
type loop func(from, to int)

// hotPath is the same work for all sides.
type hotPath struct {
	op                             string
	shoal, golang, victoriaMetrics loop
}

// latencies are in several of the twelve buckets.
var latencies = [8]float64{.003, .02, .07, .3, .9, 4, .01, .15}

// without returns the cases without a look-up of labels: metrics without labels, or handles.
func without() []hotPath {
	reg, vm := shoal.New(), metrics.NewSet()
	sc := reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
	sg := reg.NewGauge(shoal.GaugeOpts{Name: "g"})
	sh := reg.NewHistogram(shoal.HistogramOpts{Name: "h"})
	ss := reg.NewSummary(shoal.SummaryOpts{Name: "s"})
	gc := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total"})
	gg := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	gh := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets})
	gs := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s"})
	vc, vf, vg := vm.NewCounter("c_total"), vm.NewFloatCounter("f_total"), vm.NewGauge("g", nil)
	vh, vs := vm.NewHistogram("h"), vm.NewSummary("s")
	return []hotPath{
		{"inc",
			func(from, to int) {
				for range to - from {
					sc.Inc()
				}
			},
			func(from, to int) {
				for range to - from {
					gc.Inc()
				}
			},
			func(from, to int) {
				for range to - from {
					vc.Inc()
				}
			},
		},
		{"add-integer",
			func(from, to int) {
				for range to - from {
					sc.Add(3)
				}
			},
			func(from, to int) {
				for range to - from {
					gc.Add(3)
				}
			},
			func(from, to int) {
				for range to - from {
					vc.Add(3)
				}
			},
		},
		{"add-float",
			func(from, to int) {
				for range to - from {
					sc.Add(.5)
				}
			},
			func(from, to int) {
				for range to - from {
					gc.Add(.5)
				}
			},
			func(from, to int) {
				for range to - from {
					vf.Add(.5)
				}
			},
		},
		{"set",
			func(from, to int) {
				for i := from; i < to; i++ {
					sg.Set(float64(i))
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gg.Set(float64(i))
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vg.Set(float64(i))
				}
			},
		},
		{"histogram",
			func(from, to int) {
				for i := from; i < to; i++ {
					sh.Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gh.Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vh.Update(latencies[i%len(latencies)])
				}
			},
		},
		{"summary",
			func(from, to int) {
				for i := from; i < to; i++ {
					ss.Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gs.Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vs.Update(latencies[i%len(latencies)])
				}
			},
		},
		{"gauge-inc-dec",
			func(from, to int) {
				for range to - from {
					sg.Inc()
					sg.Dec()
				}
			},
			func(from, to int) {
				for range to - from {
					gg.Inc()
					gg.Dec()
				}
			},
			func(from, to int) {
				for range to - from {
					vg.Inc()
					vg.Dec()
				}
			},
		},
		// What a middleware counts of a request: requests of one route on all cores write the same three metrics.
		{"request",
			func(from, to int) {
				for i := from; i < to; i++ {
					sg.Inc()
					sc.Inc()
					sh.Observe(latencies[i%len(latencies)])
					sg.Dec()
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gg.Inc()
					gc.Inc()
					gh.Observe(latencies[i%len(latencies)])
					gg.Dec()
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vg.Inc()
					vc.Inc()
					vh.Update(latencies[i%len(latencies)])
					vg.Dec()
				}
			},
		},
	}
}

// parallel runs the loop on all cores. They share the work as b.RunParallel's
// goroutines do, but without its call for each iteration.
func (do loop) parallel(n int) {
	const part = 1000
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				from := int(next.Add(part)) - part
				if from >= n {
					return
				}
				do(from, min(from+part, n))
			}
		})
	}
	group.Wait()
}

func hotPaths() []hotPath { return append(without(), within()...) }

// In parallel, core-ns/op is how long a core takes for each; ns/op is that divided by the number of cores.
func BenchmarkHotPath(b *testing.B) {
	for i := range hotPaths() { // new metrics for each: what all cores wrote is spread, and slower for one
		for _, mode := range []string{"serial", "parallel"} {
			path := hotPaths()[i]
			for _, side := range []struct {
				name string
				do   loop
			}{{"shoal", path.shoal}, {"client_golang", path.golang}, {"victoriametrics", path.victoriaMetrics}} {
				b.Run(fmt.Sprintf("op=%s/mode=%s/side=%s", path.op, mode, side.name), func(b *testing.B) {
					side.do(0, children) // so that all series exist
					b.ReportAllocs()
					b.ResetTimer()
					cores := 1
					if mode == "serial" {
						side.do(0, b.N)
					} else {
						cores = runtime.GOMAXPROCS(0)
						side.do.parallel(b.N)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())*float64(cores)/float64(b.N), "core-ns/op")
				})
			}
		}
	}
}

// Finds a broken benchmark before the next measurement.
func TestHotPath_EachSideRuns(t *testing.T) {
	for _, path := range hotPaths() {
		for _, do := range []loop{path.shoal, path.golang, path.victoriaMetrics} {
			do.parallel(2 * children)
		}
	}
}
