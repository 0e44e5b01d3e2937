// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// work serves on the listener that the parent handed down, until ctx is done.
func work(ctx context.Context, index int, redis string) error {
	reg := shoal.Default()
	// By Index the successor of a dead worker takes over its gauge_index at once.
	if err := reg.Open(redis, shoal.Opts{App: "prefork", Index: &index}); err != nil {
		return err
	}

	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{}) // the one line
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "worker %d, process %d\n", index, os.Getpid())
	})

	file := os.NewFile(inheritedFile, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("this is a worker, to be started by its parent: %w", err)
	}
	_ = file.Close() // the listener has a copy

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent ends, even by a kill -9
		cancel()
	}()

	return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), listener, reg)
}
