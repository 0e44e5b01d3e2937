// SPDX-License-Identifier: Apache-2.0

// Command fiber is a small shop on fiber, measured by one line, in one process or in several
// on one port. With several, any of them may answer /metrics: the page has the totals of all.
//
//	go run ./examples/fiber             one process
//	go run ./examples/fiber -prefork    several, by shoal's package prefork
//	go run ./examples/fiber -fiber      several, by fiber's EnablePrefork
//
//	curl -X POST localhost:8080/carts
//	curl -X POST 'localhost:8080/orders/EUR?amount=12.5'
//	for i in $(seq 100); do curl -s localhost:8080/; done
//	curl localhost:8080/metrics
//
// With -prefork, a worker that dies is replaced (try kill -9 with a number that curl showed),
// SIGHUP to the parent replaces all workers one by one, and SIGTERM or Ctrl-C drains: no
// request that was answered is lost. With -fiber, all end at once if one does, and
// what each had counted in the last second is lost.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/gofiber/fiber/v3"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/prefork"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	workers := flag.Int("workers", 4, "`number` of processes with -prefork")
	shoals := flag.Bool("prefork", false, "several processes, by shoal's package prefork")
	fibers := flag.Bool("fiber", false, "as many processes as GOMAXPROCS, by fiber's EnablePrefork")
	redis := anyredis.Flag()
	flag.Parse()

	// In workers the variable has the URL, so that they start no Redis of their own.
	url, stopRedis, err := anyredis.Open(*redis)
	if err == nil {
		err = os.Setenv(anyredis.Variable, url)
	}
	if err != nil {
		log.Fatal(err)
	}
	if !prefork.IsWorker() && !fiber.IsChild() {
		log.Printf("serving on http://%s, metrics in %s", *addr, anyredis.Shown(url))
	}
	switch {
	case *shoals:
		err = prefork.Run(context.Background(), prefork.Opts{Addr: *addr, Workers: *workers},
			func(ctx context.Context, w *prefork.Worker) error { return serve(ctx, w.Listener, url) })
	case *fibers:
		err = serveWithFibersPrefork(*addr, url)
	default:
		err = serveAlone(*addr, url)
	}
	stopRedis() // last: registries need it to close
	if err != nil {
		log.Fatal(err)
	}
}

func serveAlone(addr, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return serve(ctx, listener, redis)
}

// serve serves until ctx is done, lets requests end and sends what is left.
func serve(ctx context.Context, l net.Listener, redis string) error {
	app, err := newApp(redis)
	if err != nil {
		return err
	}
	return shoalfiber.RunListener(ctx, app, l, shoal.Default())
}

// serveWithFibersPrefork is called by the master and by each child, which is this program once
// more.
func serveWithFibersPrefork(addr, redis string) error {
	app, err := newApp(redis)
	if err != nil {
		return err
	}
	return app.Listen(addr, fiber.ListenConfig{EnablePrefork: true, DisableStartupMessage: true})
}
