// SPDX-License-Identifier: Apache-2.0

package shoalhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func ExampleInstall() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s", r.PathValue("id"))
	})
	server := httptest.NewServer(shoalhttp.Install(mux, reg, shoalhttp.Opts{}))
	defer server.Close()

	fmt.Println(get(server.URL + "/users/7"))
	page := bufio.NewScanner(strings.NewReader(get(server.URL + "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output:
	// user 7
	// http_requests_total{code="200",method="GET",route="/users/{id}"} 1
}

// An authentication learns the tenant, further in than the middleware.
func ExampleSetLabel() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	authenticate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shoalhttp.SetLabel(r, "tenant", "acme") // in an application: what the token says
			next.ServeHTTP(w, r)
		})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", authenticate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	opts := shoalhttp.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}}} // no Value: it is set from inside
	server := httptest.NewServer(shoalhttp.Install(mux, reg, opts))
	defer server.Close()

	get(server.URL + "/orders")
	page := bufio.NewScanner(strings.NewReader(get(server.URL + "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output: http_requests_total{code="200",method="GET",route="/orders",tenant="acme"} 1
}

// A router that tells its pattern to nobody: the route is told where the pattern is known.
func ExampleSetRoute() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	router := map[string]http.HandlerFunc{} // stands for any router, such as httprouter
	handle := func(path string, h http.HandlerFunc) {
		router[path] = func(w http.ResponseWriter, r *http.Request) {
			shoalhttp.SetRoute(w, path)
			h(w, r)
		}
	}
	handle("/orders", func(http.ResponseWriter, *http.Request) {})
	handler := shoalhttp.Middleware(reg, shoalhttp.Opts{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := router[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	server := httptest.NewServer(handler)
	defer server.Close()

	get(server.URL + "/orders")
	get(server.URL + "/nothing")
	for _, route := range routes(reg) {
		fmt.Println(route)
	}
	// Output:
	// /orders
	// unmatched
}

// One pattern of the mux has many operations. Those that exist have a route each.
func ExampleMiddleware_route() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	operations := map[string]bool{"/rpc/Get": true, "/rpc/List": true}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rpc/", func(http.ResponseWriter, *http.Request) {})
	handler := shoalhttp.Middleware(reg, shoalhttp.Opts{Route: func(r *http.Request) string {
		if operations[r.URL.Path] {
			return r.URL.Path
		}
		return "" // the pattern of the mux; the path would be a series for each that a client tries
	}})(mux)
	server := httptest.NewServer(handler)
	defer server.Close()

	for _, path := range []string{"/rpc/Get", "/rpc/List", "/rpc/1", "/rpc/2"} {
		if res, err := http.Post(server.URL+path, "application/json", nil); err == nil {
			_ = res.Body.Close()
		}
	}
	for _, route := range routes(reg) {
		fmt.Println(route)
	}
	// Output:
	// /rpc/
	// /rpc/Get
	// /rpc/List
}

// routes lists the routes that were recorded.
func routes(reg *shoal.Registry) (list []string) {
	_ = reg.Flush(context.Background())
	families, _ := reg.Gather()
	for _, f := range families {
		if f.GetName() == "http_requests_total" {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "route" {
						list = append(list, l.GetValue())
					}
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

func ExampleRun() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})

	// In an application:
	//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	//	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	mux := http.NewServeMux()
	handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{})
	err := shoalhttp.Run(ctx, httpmetrics.NewServer("127.0.0.1:0", handler), reg)
	fmt.Println("drained and delivered:", err == nil)
	// Output: drained and delivered: true
}

// A unix socket. RunListener closes it, which removes its file, whatever happens.
func ExampleRunListener() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // in an application: as for Run

	dir, _ := os.MkdirTemp("", "shop")
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	server := httpmetrics.NewServer("", shoalhttp.Install(mux, reg, shoalhttp.Opts{}))
	err = shoalhttp.RunListener(ctx, server, l, reg)
	_, gone := os.Stat(path)
	fmt.Println(err, errors.Is(gone, os.ErrNotExist))
	// Output: <nil> true
}

func get(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}
