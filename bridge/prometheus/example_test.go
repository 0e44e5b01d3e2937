// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// Two processes count with client_golang, as before. Each has the one line, and the page of each
// shows what both counted.
func ExampleBridge() {
	redis := shoaltest.NewServer() // in an application: a Redis
	var pages []*shoal.Registry
	for range 2 { // in an application: each in a process of its own
		metrics := prometheus.NewRegistry() // in an application: prometheus.DefaultRegisterer and DefaultGatherer
		orders := promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{Name: "orders_total"}, []string{"currency"})

		reg := shoal.New()
		_ = redis.Connect(reg, shoal.Opts{}) // in an application: reg.Open("redis://…", shoal.Opts{App: "shop"})
		defer func() { _ = reg.Close(context.Background()) }()
		if _, err := shoalprom.Bridge(reg, metrics, shoalprom.Opts{}); err != nil { // the one line
			fmt.Println(err)
			return
		}

		orders.WithLabelValues("EUR").Add(2)
		_ = reg.Flush(context.Background()) // without it, this would reach the page of the other within 6 s
		pages = append(pages, reg)
	}
	show(pages[0], "orders")
	show(pages[1], "orders")
	// Output:
	// orders_total{currency="EUR"} 4
	// orders_total{currency="EUR"} 4
}

// queue is a collector that reads the database, which all replicas share.
type queue struct{ waiting, done float64 }

var (
	waiting = prometheus.NewDesc("queue_waiting", "Rows of the table jobs.", nil, nil)
	done    = prometheus.NewDesc("queue_done_total", "Jobs that the database has counted.", nil, nil)
)

func (queue) Describe(ch chan<- *prometheus.Desc) { ch <- waiting; ch <- done }

func (q queue) Collect(ch chan<- prometheus.Metric) { // in an application: SELECT count(*) …
	ch <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, q.waiting)
	ch <- prometheus.MustNewConstMetric(done, prometheus.CounterValue, q.done)
}

// Every replica reports the rows of one table, and what the database has counted. With these modes
// the page shows each number once, and not the sum of all replicas.
func ExampleOpts_sharedState() {
	redis := shoaltest.NewServer()
	var page *shoal.Registry
	for range 3 {
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(queue{waiting: 7, done: 1200})
		reg := shoal.New()
		_ = redis.Connect(reg, shoal.Opts{})
		defer func() { _ = reg.Close(context.Background()) }()
		_, err := shoalprom.Bridge(reg, metrics, shoalprom.Opts{Modes: map[string]shoal.Mode{
			"queue_waiting": shoal.Max,    // of the living replicas
			"queue_*_total": shoal.Latest, // a counter that is not this process's own: a gauge
		}})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = reg.Flush(context.Background())
		page = reg
	}
	show(page, "queue")
	// Output:
	// queue_done_total 1200
	// queue_waiting 7
}

// show prints the samples of a page whose names begin with a prefix.
func show(reg *shoal.Registry, prefix string) {
	rec := httptest.NewRecorder()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for page := bufio.NewScanner(rec.Body); page.Scan(); {
		if strings.HasPrefix(page.Text(), prefix) {
			fmt.Println(page.Text())
		}
	}
}
