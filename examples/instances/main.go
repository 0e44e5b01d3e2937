// SPDX-License-Identifier: Apache-2.0

// Command instances runs one application as two processes with a port each, as replicas
// behind a load balancer are. Both serve the same page.
//
//	go run ./examples/instances
//	curl localhost:8081/
//	curl localhost:8082/
//	curl localhost:8081/metrics
//	curl localhost:8082/metrics
//
// The gauges of each process, such as its goroutines and its memory, have its gauge_index as a
// label; shoal_instance_info says which process that is. Processor time is that of both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
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
	redis := anyredis.Flag()
	addr := flag.String("serve", "", "used for the two: serve on this `address`")
	flag.Parse()
	if err := run(*addrs, *addr, *redis); err != nil {
		log.Fatal(err)
	}
}

func run(addrs, addr, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if addr != "" {
		// A second Ctrl-C ends this process at once. A second SIGTERM must not: after a
		// Ctrl-C, which reaches parent and children, the parent sends one as well.
		context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
		return serve(ctx, addr, anyredis.URL(redis))
	}
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	return start(ctx, strings.Split(addrs, ","), redis)
}

// serve is all that an instance does.
func serve(ctx context.Context, addr, redis string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "instances", Version: "1.0"}); err != nil {
		return err
	}
	if err := reg.RegisterRuntime(); err != nil { // goroutines, memory, processor time
		return err
	}
	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "process %d on %s\n", os.Getpid(), listener.Addr())
	})
	log.Printf("serving on http://%s", listener.Addr())
	return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), listener, reg)
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
