// SPDX-License-Identifier: Apache-2.0

package httpmetrics_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// rpcCall stands for what a server that is not net/http's knows of a request.
type rpcCall struct {
	verb, pattern string
	bodyLength    int64
}

// An adapter for a server of another kind needs strings and numbers only.
func ExampleRecorderOf() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg)
	defer func() { _ = reg.Close(context.Background()) }()
	rec := httpmetrics.NewRecorderOf(reg, httpmetrics.OptsOf[rpcCall]{})

	measured := func(call rpcCall, handle func() (code int)) {
		start, code := time.Now(), http.StatusInternalServerError // what a panic leaves
		inFlight := rec.InFlight(call)
		inFlight.Inc()
		defer func() {
			inFlight.Dec()
			rec.Record(httpmetrics.Observation{
				Method: call.verb, Route: call.pattern, Code: code,
				Duration: time.Since(start), RequestSize: call.bodyLength, ResponseSize: -1,
			})
		}()
		code = handle()
	}
	measured(rpcCall{verb: "POST", pattern: "/orders"}, func() int { return http.StatusCreated })

	_ = reg.Flush(context.Background())
	families, _ := reg.Gather()
	for _, f := range families {
		if f.GetName() == "http_requests_total" {
			fmt.Println(f.GetMetric()[0].GetCounter().GetValue(), "request")
		}
	}
	// Output: 1 request
}

// What a middleware for a framework on net/http does, and a label that the handler sets.
func ExampleSetLabel() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg)
	defer func() { _ = reg.Close(context.Background()) }()
	rec := httpmetrics.NewRecorder(reg, httpmetrics.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}}})

	recorded := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w, x := rec.Wrap(w, r, nil)
			defer x.End()
			next(w, x.Inside(r))
			x.Returned()
		}
	}
	handler := recorded(func(_ http.ResponseWriter, r *http.Request) {
		httpmetrics.SetLabel(r.Context(), "tenant", "acme")
	})
	handler(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", nil))

	_ = reg.Flush(context.Background())
	families, _ := reg.Gather()
	for _, f := range families {
		if f.GetName() == "http_requests_total" {
			for _, l := range f.GetMetric()[0].GetLabel() {
				fmt.Println(l.GetName(), l.GetValue())
			}
		}
	}
	// Output:
	// code 200
	// method GET
	// route unmatched
	// tenant acme
}

// The page on an address of its own, away from the public.
func ExampleServe() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})

	// In an application:
	//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	//	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	app := httpmetrics.NewServer("127.0.0.1:0", http.NotFoundHandler())
	page := httpmetrics.PageServer("127.0.0.1:0", reg)
	fmt.Println(httpmetrics.Serve(ctx, reg, app, page))
	// Output: <nil>
}

// The application on a unix socket, the page on an address. With systemd, a
// listener is one of net.FileListener(os.NewFile(3, "")); with SO_REUSEPORT, one
// of a net.ListenConfig that has a Control.
func ExampleGraceful_Serve() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // in an application: as for Serve

	dir, _ := os.MkdirTemp("", "shop")
	defer func() { _ = os.RemoveAll(dir) }()
	socket, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		fmt.Println(err)
		return
	}
	app := httpmetrics.NewServer("", http.NotFoundHandler())
	page := httpmetrics.PageServer("127.0.0.1:0", reg)
	g := httpmetrics.Graceful{
		DrainTimeout: time.Minute,
		Listeners:    map[*http.Server]net.Listener{app: socket}, // closed whatever happens
	}
	fmt.Println(g.Serve(ctx, reg, app, page))
	// Output: <nil>
}

func ExampleOpts() {
	opts := httpmetrics.Opts{
		Names:        httpmetrics.OpenTelemetryNames(),
		ConstLabels:  shoal.Labels{"zone": "eu-1"},
		Buckets:      []float64{.01, .05, .1, .5, 1, 5},
		ResponseSize: true,
		SkipRoutes:   []string{"/healthz"},
		Methods:      []string{"PROPFIND", "MKCOL"},
		// A stream that its media type does not show.
		Stream: func(r *http.Request, _ string) bool { return r.URL.Path == "/ticks" },
		// Code in there asks for interfaces that a wrapper does not have.
		Skip: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/webtransport/") },
		Labels: []httpmetrics.Label{{
			Name: "api_version",
			// Few values, whatever a client sends.
			Value: func(r *http.Request) string {
				if r.Header.Get("X-Api-Version") == "2" {
					return "2"
				}
				return "1"
			},
		}},
	}
	reg := shoal.New()
	_, err := httpmetrics.RegisterRecorder(reg, opts)
	fmt.Println(err)
	// Output: <nil>
}
