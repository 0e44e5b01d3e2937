// SPDX-License-Identifier: Apache-2.0

package shoalhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// discarding costs nothing, so that what is left is router and middleware.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header         { return d.header }
func (d discarding) WriteHeader(int)             {}
func (d discarding) Write(b []byte) (int, error) { return len(b), nil }

func benchmark(b *testing.B, h http.Handler) {
	w := discarding{http.Header{}}
	r := httptest.NewRequest(http.MethodGet, "/users/7", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkBare is the router alone: the middleware costs the difference.
func BenchmarkBare(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	benchmark(b, mux)
}

func BenchmarkMiddleware(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	benchmark(b, shoalhttp.Install(mux, shoal.New(), shoalhttp.Opts{}))
}
