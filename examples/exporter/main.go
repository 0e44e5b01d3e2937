// SPDX-License-Identifier: Apache-2.0

// Command exporter serves the page of an app without being part of it. It is
// the best thing to scrape: one target that says what all processes counted,
// however many of them there are, whether or not one of them is alive.
//
//	REDIS_URL=redis://127.0.0.1:6379/0 go run ./examples/exporter -app shop
//	curl localhost:9090/metrics
//
// It only reads. It needs no place in the fleet, so it has no lease, no
// gauge_index and no goroutines that write.
package main

import (
	"cmp"
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
)

const localRedis = "redis://127.0.0.1:6379/0"

func main() {
	addr := flag.String("addr", "127.0.0.1:9090", "`address` to serve on")
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
	reg := shoal.New()
	if err := reg.Open(redis, shoal.Opts{App: app, ReadOnly: true}); err != nil {
		return err
	}
	log.Printf("serving the metrics of %s in %s on http://%s/metrics", app, anyredis.Shown(redis), addr)
	return httpmetrics.Serve(ctx, reg, httpmetrics.PageServer(addr, reg))
}
