// SPDX-License-Identifier: Apache-2.0

package shoalgin_test

import (
	"fmt"
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

func addRoutes(e *gin.Engine) {
	for i := range routes {
		e.GET(fmt.Sprintf("/shops/%d/users/:user/orders/:order", i), func(c *gin.Context) { _, _ = c.Writer.Write(nil) })
	}
}

// BenchmarkBare is the router alone: the middleware costs the difference.
func BenchmarkBare(b *testing.B) {
	e := gin.New()
	addRoutes(e)
	benchmark(b, e)
}

func BenchmarkMiddleware(b *testing.B) {
	e := gin.New()
	shoalgin.Install(e, shoal.New(), shoalgin.Opts{})
	addRoutes(e)
	benchmark(b, e)
}
