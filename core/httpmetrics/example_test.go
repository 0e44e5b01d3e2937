// SPDX-License-Identifier: Apache-2.0

package httpmetrics_test

import (
	"context"
	"fmt"
	"net/http"
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
func ExampleRecorder() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg)
	defer func() { _ = reg.Close(context.Background()) }()
	rec := httpmetrics.NewRecorder(reg, httpmetrics.Opts{})

	measured := func(call rpcCall, handle func() (code int)) {
		start, code := time.Now(), http.StatusInternalServerError // what a panic leaves
		rec.Started()
		defer func() {
			rec.Ended()
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

// The page on an address of its own, away from the public.
func ExampleServe() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in earnest: reg.Connect(rdb, shoal.Opts{App: "shop"})

	// In earnest: signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	app := httpmetrics.NewServer("127.0.0.1:0", http.NotFoundHandler())
	page := httpmetrics.PageServer("127.0.0.1:0", reg)
	fmt.Println(httpmetrics.Serve(ctx, reg, app, page))
	// Output: <nil>
}

func ExampleOpts() {
	opts := httpmetrics.Opts{
		Names:        httpmetrics.OpenTelemetryNames(),
		ConstLabels:  shoal.Labels{"zone": "eu-1"},
		Buckets:      []float64{.01, .05, .1, .5, 1, 5},
		ResponseSize: true,
		SkipRoutes:   []string{"/healthz"},
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
