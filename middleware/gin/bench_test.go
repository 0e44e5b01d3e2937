// SPDX-License-Identifier: Apache-2.0

package shoalgin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
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
	e := gin.New()
	e.GET("/users/:id", func(c *gin.Context) { _, _ = c.Writer.Write(nil) })
	benchmark(b, e)
}

func BenchmarkMiddleware(b *testing.B) {
	e := gin.New()
	shoalgin.Install(e, shoal.New(), shoalgin.Opts{})
	e.GET("/users/:id", func(c *gin.Context) { _, _ = c.Writer.Write(nil) })
	benchmark(b, e)
}
