// SPDX-License-Identifier: Apache-2.0

// Command bridge runs two applications that were written without shoal, each in two processes, and one
// page shows what all four count. shop.go uses client_golang only, payments.go uses OpenTelemetry
// only. Two functions of this file, bridgeShop and bridgePayments, bring their metrics to the page.
//
//	go run ./examples/bridge
//
// It sends some requests to each process, prints some lines of the page, and serves until Ctrl-C:
//
//	curl -X POST 'localhost:8081/orders/EUR?amount=12.5'
//	curl -X POST localhost:8082/shipments
//	curl -X POST 'localhost:8083/payments/card?amount=12.5'
//	curl localhost:8084/metrics
//
// What the other processes count is on this page up to 6 s later: each imports its metrics once in 5 s and
// sends them once a second. Try kill -9 with the number of a process that was printed: only what it counted
// in its last 6 s is lost.
package main

import (
	"context"
	"database/sql"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	shoalotel "github.com/shoal-metrics/shoal/bridge/otel"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	_ "github.com/shoal-metrics/shoal/examples/internal/ordersdb" // the database driver
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	log.SetFlags(0)
	shops := flag.String("shops", "127.0.0.1:8081,127.0.0.1:8082", "`addresses` of the shop, one process each")
	payments := flag.String("payments", "127.0.0.1:8083,127.0.0.1:8084", "`addresses` of the payments, one process each")
	redis := anyredis.Flag()
	app := flag.String("run", "", "used for the four: the `application`, shop or payments")
	addr := flag.String("addr", "", "used for the four: the `address` to serve on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *app == "" {
		context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
		err = start(ctx, strings.Split(*shops, ","), strings.Split(*payments, ","), *redis)
	} else {
		// A second Ctrl-C ends this process at once. A second SIGTERM must not: after a
		// Ctrl-C, which reaches parent and children, the parent sends one as well.
		context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
		err = serve(ctx, *app, *addr, anyredis.URL(*redis))
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// serve is all that each of the four does.
func serve(ctx context.Context, app, addr, redis string) error {
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "bridge"}); err != nil {
		return err
	}
	bridge := bridgeShop
	if app == "payments" {
		bridge = bridgePayments
	}
	handler, err := bridge(reg, redis)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /metrics", reg.Handler(shoal.HandlerOpts{})) // in place of promhttp.Handler()
	return httpmetrics.Serve(ctx, reg, httpmetrics.NewServer(addr, mux))
}

// bridgeShop returns the shop, and brings what client_golang's default registry has to the page of all
// processes.
func bridgeShop(reg *shoal.Registry, redis string) (http.Handler, error) {
	db, err := sql.Open("ordersdb", redis) // Close of the registry asks it a last time, so it stays open
	if err != nil {
		return nil, err
	}
	// The one line. Without the options, the page would show each gauge of each process.
	_, err = shoalprom.Bridge(reg, prometheus.DefaultGatherer, shoalprom.Opts{
		Modes: map[string]shoal.Mode{
			// Each process counts the rows of the same table, and a sum would count them twice.
			// The answer that came last is the right one.
			"shop_orders_waiting": shoal.Latest,
			// Each process has a pool of connections of its own: the database has the sum of them.
			"go_sql_*": shoal.Sum,
		},
	})
	return newShop(db), err
}

// bridgePayments returns the payments, and brings what OpenTelemetry measures to the page of all processes.
func bridgePayments(reg *shoal.Registry, _ string) (http.Handler, error) {
	reader, err := shoalotel.NewReader(reg, shoalotel.Opts{}) // the one line
	if err != nil {
		return nil, err
	}
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(withoutHost)))
	return newPayments()
}

// withoutHost leaves out what otelhttp takes from the Host header: an address and a port differ between
// processes, each of which would have series of its own, and the client chooses them.
var withoutHost = sdkmetric.NewView(sdkmetric.Instrument{Name: "http.server.*"}, sdkmetric.Stream{
	AttributeFilter: attribute.NewDenyKeysFilter("server.address", "server.port"),
})
