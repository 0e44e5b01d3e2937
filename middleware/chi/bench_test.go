// SPDX-License-Identifier: Apache-2.0

package shoalchi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
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
	r := chi.NewRouter()
	r.Get("/users/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	benchmark(b, r)
}

func BenchmarkMiddleware(b *testing.B) {
	r := chi.NewRouter()
	shoalchi.Install(r, shoal.New(), shoalchi.Opts{})
	r.Get("/users/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	benchmark(b, r)
}
