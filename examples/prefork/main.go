// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Command prefork is a server of several processes on one port, as Node's cluster module,
// gunicorn and PHP-FPM run them: a parent opens the port and starts workers, which inherit
// it. Any worker may answer /metrics: the page has the totals of all.
//
//	go run ./examples/prefork
//	for i in $(seq 100); do curl -s localhost:8080/; done
//	curl -s localhost:8080/metrics | grep http_requests_total
//
// A worker that dies is replaced (try kill -9 with a number that curl showed)
// and its successor takes over its gauge_index. SIGTERM to the parent, or
// Ctrl-C, drains: requests that are being answered are finished and counted. A
// second Ctrl-C ends all at once.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	workers := flag.Int("workers", 4, "`number` of processes")
	redis := anyredis.Flag()
	index := flag.Int("worker", -1, "used by the parent: be the worker of this `number`")
	flag.Parse()

	if err := run(*index, *addr, *workers, *redis); err != nil {
		log.Fatal(err)
	}
}

func run(index int, addr string, workers int, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if index >= 0 {
		log.SetPrefix("worker: ")
		// A second Ctrl-C ends this worker at once. A second SIGTERM must not: after a
		// Ctrl-C, which reaches parent and workers, the parent sends one as well.
		context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
		return work(ctx, index, anyredis.URL(redis))
	}
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	return supervise(ctx, addr, workers, redis)
}
