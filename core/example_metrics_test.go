// SPDX-License-Identifier: Apache-2.0

package shoal_test

import (
	"context"
	"errors"
	"fmt"
	"math"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func ExampleCounter() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	visits := reg.NewCounter(shoal.CounterOpts{Namespace: "shop", Name: "visits_total"})
	show(reg, "shop_visits_total") // shown from the declaration on, so that rate() sees the first visit
	visits.Inc()
	visits.Add(2.5)
	visits.Add(-1) // dropped, and counted in shoal_rejected_observations_total
	show(reg, "shop_visits_total", `shoal_rejected_observations_total{reason="negative"}`)
	// Output:
	// shop_visits_total 0
	// shoal_rejected_observations_total{reason="negative"} 1
	// shop_visits_total 3.5
}

func ExampleCounter_AddSync() {
	server := shoaltest.NewServer()
	one, two := connected(server), connected(server)
	defer one.Close(context.Background())
	defer two.Close(context.Background())
	opts := shoal.CounterOpts{Name: "tickets_total"}

	ctx := context.Background()
	fmt.Println(one.NewCounter(opts).AddSync(ctx, 2))
	fmt.Println(two.NewCounter(opts).IncSync(ctx)) // the total of all processes
	_, err := two.NewCounter(opts).AddSync(ctx, math.NaN())
	fmt.Println(errors.Is(err, shoal.ErrRejected))
	// Output:
	// 2 <nil>
	// 3 <nil>
	// true
}

func ExampleGauge() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	connections := reg.NewGauge(shoal.GaugeOpts{Name: "connections", Help: "Open connections."})
	connections.Set(3)
	connections.Inc()
	connections.Sub(0.5)
	show(reg, "connections")
	// Output:
	// connections{gauge_index="0"} 3.5
}

func ExampleMode() {
	server := shoaltest.NewServer()
	one, two := connected(server), connected(server)
	defer one.Close(context.Background())
	defer two.Close(context.Background())
	for i, reg := range []*shoal.Registry{one, two} {
		for _, mode := range []shoal.Mode{shoal.Sum, shoal.Max, shoal.Avg} {
			reg.NewGauge(shoal.GaugeOpts{Name: "jobs_" + string(mode), Mode: mode}).Set(float64(10 + i))
		}
	}
	if err := one.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}
	show(two, "jobs_")
	// Output:
	// jobs_avg 10.5
	// jobs_max 11
	// jobs_sum 21
}

func ExampleMode_total() {
	server := shoaltest.NewServer()
	one, two := connected(server), connected(server)
	defer two.Close(context.Background())
	opts := shoal.GaugeOpts{Name: "carts_open", Help: "Carts being filled.", Mode: shoal.Total}

	one.NewGauge(opts).Add(10) // ten carts are opened in one process
	two.NewGauge(opts).Sub(3)  // and three of them ordered from in another
	fmt.Println(one.Close(context.Background()))
	show(two, "carts_open")
	fmt.Println(errors.Is(two.NewGauge(opts).SetSync(context.Background(), 0), shoal.ErrRejected))
	// Output:
	// <nil>
	// carts_open 7
	// true
}

func ExampleGauge_SetSync() {
	server := shoaltest.NewServer()
	job := connected(server)
	done := job.NewGauge(shoal.GaugeOpts{Name: "backup_last_bytes", Mode: shoal.Latest})
	if err := done.SetSync(context.Background(), 1234); err != nil {
		fmt.Println("not confirmed:", err)
	}
	fmt.Println(job.Close(context.Background()))

	reader := connected(server) // the value outlives the process that set it
	defer reader.Close(context.Background())
	show(reader, "backup_last_bytes")
	// Output:
	// <nil>
	// backup_last_bytes 1234
}

func ExampleHistogram() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	seconds := reg.NewHistogram(shoal.HistogramOpts{
		Name: "query_seconds", Buckets: []float64{0.1, 1},
	})
	seconds.Observe(0.1) // on the bound is inside
	seconds.Observe(2)
	show(reg, "query_seconds")
	// Output:
	// query_seconds_bucket{le="0.1"} 1
	// query_seconds_bucket{le="1"} 1
	// query_seconds_bucket{le="+Inf"} 2
	// query_seconds_sum 2.1
	// query_seconds_count 2
}

func ExampleHistogram_ObserveSync() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "query_seconds"})
	fmt.Println(h.ObserveSync(context.Background(), 0.25))
	// Output:
	// <nil>
}

func ExampleSummary() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	bytes := reg.NewSummary(shoal.SummaryOpts{Name: "upload_bytes"})
	bytes.Observe(100)
	bytes.Observe(50)
	show(reg, "upload_bytes")
	// Output:
	// upload_bytes_sum 150
	// upload_bytes_count 2
}

func ExampleVec() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	orders := reg.NewCounterVec(shoal.CounterOpts{
		Name: "orders_total", ConstLabels: shoal.Labels{"shop": "de"},
	}, []string{"currency", "kind"})
	orders.WithLabelValues("EUR", "book").Inc()
	orders.With(shoal.Labels{"kind": "book", "currency": "EUR"}).Inc()
	_, err := orders.GetMetricWithLabelValues("EUR")
	fmt.Println(err)
	show(reg, "orders_total")
	// Output:
	// shoal: counter "orders_total" has the 2 labels ["currency" "kind"] and got 1 values
	// orders_total{currency="EUR",kind="book",shop="de"} 2
}

func ExampleVec_CurryWith() {
	reg := shoal.New()
	requests := reg.NewCounterVec(shoal.CounterOpts{Name: "requests_total"}, []string{"server", "method", "code"})
	admin, err := requests.CurryWith(shoal.Labels{"server": "admin"})
	if err != nil {
		panic(err)
	}
	admin.WithLabelValues("GET", "200").Inc()
	fmt.Println(requests.WithLabelValues("admin", "GET", "200") == admin.With(shoal.Labels{"method": "GET", "code": "200"}))
	_, err = admin.CurryWith(shoal.Labels{"server": "public"})
	fmt.Println(err)
	// Output:
	// true
	// shoal: counter "requests_total": the label "server" is curried already: give some of ["method" "code"]
}

func ExampleVec_MustCurryWith() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	queries := reg.NewSummaryVec(shoal.SummaryOpts{Name: "query_seconds"}, []string{"database", "table"})
	orders := queries.MustCurryWith(shoal.Labels{"database": "orders"}) // once, where the database is opened
	orders.WithLabelValues("items").Observe(.05)
	orders.WithLabelValues("items").Observe(.2)
	show(reg, "query_seconds")
	// Output:
	// query_seconds_sum{database="orders",table="items"} 0.25
	// query_seconds_count{database="orders",table="items"} 2
}

func ExampleVec_DeletePartialMatch() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	stock := reg.NewCounterVec(shoal.CounterOpts{Name: "stock_moves_total"}, []string{"shop", "article"})
	stock.WithLabelValues("Berlin", "book").Inc()
	stock.WithLabelValues("Berlin", "pen").Inc()
	stock.WithLabelValues("Rome", "pen").Inc()
	fmt.Println(stock.DeletePartialMatch(shoal.Labels{"shop": "Berlin"})) // the shop has closed
	show(reg, "stock_moves_total")
	// Output:
	// 2
	// stock_moves_total{article="pen",shop="Rome"} 1
}

func ExampleVec_Reset() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "votes_total"}, []string{"party"})
	v.WithLabelValues("a").Add(5)
	v.WithLabelValues("b").Add(6)
	v.Reset()
	v.WithLabelValues("a").Inc()
	show(reg, "votes_total")
	// Output:
	// votes_total{party="a"} 1
}

func ExampleNewTimer() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	seconds := reg.NewSummary(shoal.SummaryOpts{Name: "report_seconds"})
	func() {
		defer shoal.NewTimer(seconds).ObserveDuration()
		// write the report
	}()
	show(reg, "report_seconds_count")
	// Output:
	// report_seconds_count 1
}

func ExampleObserverFunc() {
	reg := shoal.New()
	last := reg.NewGauge(shoal.GaugeOpts{Name: "last_report_seconds", Mode: shoal.Latest})
	timer := shoal.NewTimer(shoal.ObserverFunc(last.Set))
	fmt.Println(timer.ObserveDuration() >= 0)
	// Output:
	// true
}

func ExampleLinearBuckets() {
	fmt.Println(shoal.LinearBuckets(10, 5, 4))
	// Output:
	// [10 15 20 25]
}

func ExampleExponentialBuckets() {
	fmt.Println(shoal.ExponentialBuckets(100, 10, 4))
	// Output:
	// [100 1000 10000 100000]
}

func ExampleExponentialBucketsRange() {
	fmt.Println(shoal.ExponentialBucketsRange(1, 16, 5))
	// Output:
	// [1 2 4 8 16]
}
