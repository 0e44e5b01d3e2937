// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
)

// children is the number of label sets; all are written in turn.
const children = 1000

var (
	labels = []string{"method", "route", "code"}
	routes = func() (list [children]string) {
		for i := range list {
			list[i] = fmt.Sprintf("/shop/%d/items", i)
		}
		return list
	}()
)

// child returns the name of a labelled metric in VictoriaMetrics/metrics, built as in
// its documentation.
func child(i int) string {
	return fmt.Sprintf(`m{method=%q,route=%q,code=%q}`, "GET", routes[i%children], "200")
}

// within returns the cases with three labels, looked up for each write.
func within() []hotPath {
	reg := shoal.New()
	sc := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, labels)
	sg := reg.NewGaugeVec(shoal.GaugeOpts{Name: "g"}, labels)
	sh := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h"}, labels)
	ss := reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, labels)
	gc := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, labels)
	gg := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, labels)
	gh := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets}, labels)
	gs := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "s"}, labels)
	vc, vf, vg, vh, vs := metrics.NewSet(), metrics.NewSet(), metrics.NewSet(), metrics.NewSet(), metrics.NewSet()
	return []hotPath{
		{"labels-inc",
			func(from, to int) {
				for i := from; i < to; i++ {
					sc.WithLabelValues("GET", routes[i%children], "200").Inc()
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gc.WithLabelValues("GET", routes[i%children], "200").Inc()
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vc.GetOrCreateCounter(child(i)).Inc()
				}
			},
		},
		{"labels-add-float",
			func(from, to int) {
				for i := from; i < to; i++ {
					sc.WithLabelValues("GET", routes[i%children], "200").Add(.5)
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gc.WithLabelValues("GET", routes[i%children], "200").Add(.5)
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vf.GetOrCreateFloatCounter(child(i)).Add(.5)
				}
			},
		},
		{"labels-set",
			func(from, to int) {
				for i := from; i < to; i++ {
					sg.WithLabelValues("GET", routes[i%children], "200").Set(float64(i))
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gg.WithLabelValues("GET", routes[i%children], "200").Set(float64(i))
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vg.GetOrCreateGauge(child(i), nil).Set(float64(i))
				}
			},
		},
		{"labels-histogram",
			func(from, to int) {
				for i := from; i < to; i++ {
					sh.WithLabelValues("GET", routes[i%children], "200").Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gh.WithLabelValues("GET", routes[i%children], "200").Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vh.GetOrCreateHistogram(child(i)).Update(latencies[i%len(latencies)])
				}
			},
		},
		{"labels-summary",
			func(from, to int) {
				for i := from; i < to; i++ {
					ss.WithLabelValues("GET", routes[i%children], "200").Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					gs.WithLabelValues("GET", routes[i%children], "200").Observe(latencies[i%len(latencies)])
				}
			},
			func(from, to int) {
				for i := from; i < to; i++ {
					vs.GetOrCreateSummary(child(i)).Update(latencies[i%len(latencies)])
				}
			},
		},
	}
}
