// SPDX-License-Identifier: Apache-2.0

// Command prefork is a server of several processes on one port, as Node's cluster module,
// gunicorn and PHP-FPM run them: a parent opens the port and starts workers, which inherit
// it. Any worker may answer /metrics: the page has the totals of all.
//
//	go run ./examples/prefork
//	for i in $(seq 100); do curl -s localhost:8080/; done
//	curl -s localhost:8080/metrics | grep http_requests_total
//
// A worker that dies is replaced (try kill -9 with a number that curl showed)
// and its successor takes over its gauge_index. SIGHUP to the parent replaces all workers, one
// by one. SIGTERM to the parent, or Ctrl-C, drains: requests that are being answered are
// finished and counted. A second Ctrl-C ends all at once.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/prefork"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	workers := flag.Int("workers", 4, "`number` of processes")
	byGin := flag.Bool("gin", false, "serve with gin, and not with net/http alone")
	redis := anyredis.Flag()
	flag.Parse()

	serve := serveHTTP
	if *byGin {
		serve = serveGin
	}
	if err := run(prefork.Opts{Addr: *addr, Workers: *workers}, *redis, serve); err != nil {
		log.Fatal(err)
	}
}

// run is called by the parent and by each worker, which is this program once more.
func run(opts prefork.Opts, redis string, serve func(context.Context, *prefork.Worker, *shoal.Registry) error) error {
	if !prefork.IsWorker() {
		url, stopRedis, err := anyredis.Open(redis)
		if err != nil {
			return err
		}
		defer stopRedis() // last, since the workers send their last counts at their end
		if err := os.Setenv(anyredis.Variable, url); err != nil {
			return err
		}
		log.Printf("%d workers on http://%s, metrics in %s", opts.Workers, opts.Addr, anyredis.Shown(url))
	}
	return prefork.Run(context.Background(), opts, func(ctx context.Context, w *prefork.Worker) error {
		reg := shoal.Default()
		if err := reg.Open(anyredis.URL(redis), shoal.Opts{App: "prefork"}); err != nil {
			return err
		}
		return serve(ctx, w, reg) // until ctx is done; then it drains and closes the registry
	})
}

func serveHTTP(ctx context.Context, w *prefork.Worker, reg *shoal.Registry) error {
	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{}) // the one line
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, greeting(w))
	})
	return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), w.Listener, reg)
}

func serveGin(ctx context.Context, w *prefork.Worker, reg *shoal.Registry) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	shoalgin.Install(engine, reg, shoalgin.Opts{}) // the one line
	engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, greeting(w)) })
	return shoalgin.RunListener(ctx, engine, w.Listener, reg)
}

func greeting(w *prefork.Worker) string {
	return fmt.Sprintf("worker %d, process %d\n", w.Number, os.Getpid())
}
