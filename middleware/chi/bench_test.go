// SPDX-License-Identifier: Apache-2.0

package shoalchi_test

import (
	"fmt"
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

const routes = 20

// benchmark serves each of the routes in turn, from one goroutine and from all.
func benchmark(b *testing.B, h http.Handler) {
	requests := func() (list [routes]*http.Request) {
		for i := range list {
			list[i] = httptest.NewRequest(http.MethodGet, fmt.Sprintf("/shops/%d/users/7/orders/%d", i, 1000+i), nil)
		}
		return list
	}
	b.Run("serial", func(b *testing.B) {
		w, list, i := discarding{http.Header{}}, requests(), 0
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, list[i])
			i = (i + 1) % routes
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			w, list := discarding{http.Header{}}, requests()
			for i := 0; pb.Next(); i = (i + 1) % routes {
				h.ServeHTTP(w, list[i])
			}
		})
	})
}

func addRoutes(r chi.Router) {
	for i := range routes {
		r.Get(fmt.Sprintf("/shops/%d/users/{user}/orders/{order}", i), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	}
}

// BenchmarkBare is the router alone: the middleware costs the difference.
func BenchmarkBare(b *testing.B) {
	r := chi.NewRouter()
	addRoutes(r)
	benchmark(b, r)
}

func BenchmarkMiddleware(b *testing.B) {
	r := chi.NewRouter()
	shoalchi.Install(r, shoal.New(), shoalchi.Opts{})
	addRoutes(r)
	benchmark(b, r)
}
