// SPDX-License-Identifier: Apache-2.0

// Command instances is one application in two processes, each with a port of
// its own, as replicas behind a load balancer are. Both serve the same page.
//
//	go run ./examples/instances
//	curl localhost:8081/
//	curl localhost:8082/
//	curl localhost:8081/metrics
//	curl localhost:8082/metrics
//
// What belongs to one process, its gauges, is told apart by gauge_index;
// shoal_instance_info says which is which.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func main() {
	addrs := flag.String("addrs", "127.0.0.1:8081,127.0.0.1:8082", "`addresses` to serve on, one process each")
	redis := flag.String("redis", "", "`URL` of a Redis; defaults to $REDIS_URL, where a password belongs, and without that to an embedded one")
	addr := flag.String("serve", "", "used for the two: serve on this `address`")
	flag.Parse()
	if err := run(*addrs, *addr, *redis); err != nil {
		log.Fatal(err)
	}
}

func run(addrs, addr, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if addr != "" {
		// A second Ctrl-C ends it at once. A SIGTERM never does, not even while it
		// returns: the parent sends one on top of the first Ctrl-C.
		context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
		return serve(ctx, addr, anyredis.URL(redis))
	}
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	return start(ctx, strings.Split(addrs, ","), redis)
}

// serve is all that an instance does.
func serve(ctx context.Context, addr, redis string) error {
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "instances", Version: "1.0"}); err != nil {
		return err
	}
	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "process %d on %s\n", os.Getpid(), addr)
	})
	log.Printf("serving on http://%s", addr)
	return shoalhttp.Run(ctx, httpmetrics.NewServer(addr, handler), reg)
}

// start runs the instances until ctx is done or one of them ends.
func start(ctx context.Context, addrs []string, redis string) error {
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(addrs))
	for _, addr := range addrs {
		cmd := exec.CommandContext(ctx, self, "-serve", addr)
		cmd.Env = anyredis.Environment(redis) // not an argument, which everybody can read
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 30 * time.Second
		go func() { ended <- cmd.Run() }()
	}
	var errs []error
	for range addrs {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
		cancel()
	}
	return errors.Join(errs...)
}
