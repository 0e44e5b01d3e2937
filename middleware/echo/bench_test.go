// SPDX-License-Identifier: Apache-2.0

package shoalecho_test

import (
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
	e := echo.New()
	e.GET("/users/:id", func(c echo.Context) error { _, err := c.Response().Write(nil); return err })
	benchmark(b, e)
}

// BenchmarkPassing has a middleware that does nothing. echo wraps the handler
// anew for each request, which costs every real middleware an allocation.
func BenchmarkPassing(b *testing.B) {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return next(c) }
	})
	e.GET("/users/:id", func(c echo.Context) error { _, err := c.Response().Write(nil); return err })
	benchmark(b, e)
}

func BenchmarkMiddleware(b *testing.B) {
	e := echo.New()
	shoalecho.Install(e, shoal.New(), shoalecho.Opts{})
	e.GET("/users/:id", func(c echo.Context) error { _, err := c.Response().Write(nil); return err })
	benchmark(b, e)
}
