// SPDX-License-Identifier: Apache-2.0

// Command service is a shop as it runs in a container: deploy/kubernetes and deploy/compose
// run it. Its pages for Prometheus are on a port of their own, so that the Service of the
// application does not lead to them.
//
//	go run ./examples/service
//	curl -X POST localhost:8080/orders
//	curl localhost:8080/healthz
//	curl localhost:9091/metrics
//	curl localhost:9091/metrics/each
//
// The first page has the metrics of all processes. The second has the gauges of this process, such
// as its memory; in exactly one process it also has what all share. docs/scraping.md says which to
// scrape.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

var orders = shoal.NewCounter(shoal.CounterOpts{
	Name: "shop_orders_total", Help: "Orders placed.",
})

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	pages := flag.String("pages", "127.0.0.1:9091", "`address` for Prometheus")
	app := flag.String("app", "shop", "`name` of the app")
	redis := anyredis.Flag()
	flag.Parse()
	if err := run(*addr, *pages, *app, *redis); err != nil {
		log.Fatal(err)
	}
}

func run(addr, pages, app, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: app}); err != nil {
		return err
	}
	if err := reg.RegisterRuntime(); err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) {
		orders.Inc()
		w.WriteHeader(http.StatusCreated)
	})
	// A shop without Redis sells and counts: a probe that asked Redis would end all replicas
	// when Redis is away.
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	handler := shoalhttp.Middleware(reg, shoalhttp.Opts{SkipRoutes: []string{"/healthz"}})(mux)

	forPrometheus := http.NewServeMux()
	forPrometheus.Handle("GET /metrics", shoalhttp.Handler(reg, shoal.HandlerOpts{}))
	// For a Prometheus that scrapes every process. One of the two pages is enough.
	forPrometheus.Handle("GET /metrics/each", shoalhttp.Handler(reg, shoal.HandlerOpts{EachProcess: true, SharedInstance: app}))

	log.Printf("serving on http://%s, metrics in %s", listener.Addr(), anyredis.Shown(redis))
	return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), listener, reg,
		httpmetrics.NewServer(pages, forPrometheus))
}
