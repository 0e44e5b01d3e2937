// SPDX-License-Identifier: Apache-2.0

// Command exporter serves the page of an app from a process of its own. It is the best
// target for Prometheus: one address for all processes, however many there are, and even
// when none is alive.
//
//	REDIS_URL=redis://127.0.0.1:6379/0 go run ./examples/exporter -app shop
//	curl localhost:9091/metrics
//
// It only reads, so it has no lease and no gauge_index, and sends nothing to Redis but
// queries.
package main

import (
	"cmp"
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

const localRedis = "redis://127.0.0.1:6379/0"

func main() {
	addr := flag.String("addr", "127.0.0.1:9091", "`address` to serve on")
	redis := flag.String("redis", "",
		"`URL` of the app's Redis; defaults to $REDIS_URL, where a password belongs, and without that to "+localRedis)
	app := flag.String("app", "shop", "`name` of the app")
	flag.Parse()
	if err := run(*addr, cmp.Or(anyredis.URL(*redis), localRedis), *app); err != nil {
		log.Fatal(err)
	}
}

func run(addr, redis, app string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	reg := shoal.New()
	if err := reg.Open(redis, shoal.Opts{App: app, ReadOnly: true}); err != nil {
		return err
	}
	log.Printf("serving the metrics of %s in %s on http://%s/metrics", app, anyredis.Shown(redis), listener.Addr())
	return shoalhttp.RunListener(ctx, httpmetrics.PageServer("", reg), listener, reg)
}
