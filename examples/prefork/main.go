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
	"log"
	"net/http"
	"os"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/prefork"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	workers := flag.Int("workers", 4, "`number` of processes")
	redis := anyredis.Flag()
	flag.Parse()

	if err := run(*addr, *workers, *redis); err != nil {
		log.Fatal(err)
	}
}

// run is called by the parent and by each worker, which is this program once more.
func run(addr string, workers int, redis string) error {
	if !prefork.IsWorker() {
		url, stopRedis, err := anyredis.Open(redis)
		if err != nil {
			return err
		}
		defer stopRedis() // last, since the workers send their last counts at their end
		if err := os.Setenv(anyredis.Variable, url); err != nil {
			return err
		}
		log.Printf("%d workers on http://%s, metrics in %s", workers, addr, anyredis.Shown(url))
	}
	return prefork.Run(context.Background(), prefork.Opts{Addr: addr, Workers: workers},
		func(ctx context.Context, w *prefork.Worker) error {
			return work(ctx, w, anyredis.URL(redis))
		})
}

// work serves on the listener that the parent handed down, until ctx is done.
func work(ctx context.Context, w *prefork.Worker, redis string) error {
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "prefork"}); err != nil {
		return err
	}
	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{}) // the one line
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, "worker %d, process %d\n", w.Number, os.Getpid())
	})
	return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), w.Listener, reg)
}
