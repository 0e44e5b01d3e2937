// SPDX-License-Identifier: Apache-2.0

package prefork_test

import (
	"context"
	"log"
	"net"
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/prefork"
)

// The main function of a server of four processes on one port.
func Example() {
	opts := prefork.Opts{Addr: ":8080", Workers: 4}
	err := prefork.Run(context.Background(), opts, func(ctx context.Context, w *prefork.Worker) error {
		reg := shoal.Default()
		if err := reg.Open("redis://localhost:6379/0", shoal.Opts{App: "shop"}); err != nil {
			return err
		}
		mux := http.NewServeMux() // a middleware measures it in one line
		mux.Handle("GET /metrics", reg.Handler(shoal.HandlerOpts{}))

		server := httpmetrics.NewServer("", mux)
		graceful := httpmetrics.Graceful{Listeners: map[*http.Server]net.Listener{server: w.Listener}}
		return graceful.Serve(ctx, reg, server) // until ctx is done; then it drains and closes the registry
	})
	if err != nil {
		log.Fatal(err)
	}
}

// The public port and one for metrics, both shared by all workers.
func ExampleOpts_listen() {
	opts := prefork.Opts{
		Addr:   ":8080",
		Listen: func() ([]net.Listener, error) { l, err := net.Listen("tcp", ":9091"); return []net.Listener{l}, err },
	}
	err := prefork.Run(context.Background(), opts, func(ctx context.Context, w *prefork.Worker) error {
		reg := shoal.Default()
		if err := reg.Open("redis://localhost:6379/0", shoal.Opts{App: "shop"}); err != nil {
			return err
		}
		public, metrics := httpmetrics.NewServer("", http.NotFoundHandler()), httpmetrics.PageServer("", reg)
		return httpmetrics.Graceful{
			Listeners: map[*http.Server]net.Listener{public: w.Listeners[0], metrics: w.Listeners[1]},
		}.Serve(ctx, reg, public, metrics)
	})
	if err != nil {
		log.Fatal(err)
	}
}
