// SPDX-License-Identifier: Apache-2.0

package shoalecho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
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

func addRoutes(e *echo.Echo) {
	for i := range routes {
		e.GET(fmt.Sprintf("/shops/%d/users/:user/orders/:order", i), func(c echo.Context) error { _, err := c.Response().Write(nil); return err })
	}
}

// BenchmarkBare is the router alone: the middleware costs the difference.
func BenchmarkBare(b *testing.B) {
	e := echo.New()
	addRoutes(e)
	benchmark(b, e)
}

// BenchmarkPassing has a middleware that does nothing. echo wraps the handler
// anew for each request, which costs every real middleware an allocation.
func BenchmarkPassing(b *testing.B) {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return next(c) }
	})
	addRoutes(e)
	benchmark(b, e)
}

func BenchmarkMiddleware(b *testing.B) {
	e := echo.New()
	shoalecho.Install(e, shoal.New(), shoalecho.Opts{})
	addRoutes(e)
	benchmark(b, e)
}
