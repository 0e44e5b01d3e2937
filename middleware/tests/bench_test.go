// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

const benchRoutes = 20

// BenchmarkMiddleware serves each of twenty routes in turn. A middleware costs
// what it takes beyond the bare router beside it. echo wraps the handler anew
// for each request, which costs every middleware an allocation: passing has one
// that does nothing.
func BenchmarkMiddleware(b *testing.B) {
	for _, side := range []struct {
		router, name string
		handler      http.Handler
	}{
		{"nethttp", "bare", benchHTTP(nil)},
		{"nethttp", "shoal", benchHTTP(shoal.New())},
		{"chi", "bare", benchChi(func(chi.Router) {})},
		{"chi", "shoal", benchChi(func(r chi.Router) { shoalchi.Install(r, shoal.New(), httpmetrics.Opts{}) })},
		{"gin", "bare", benchGin(func(*gin.Engine) {})},
		{"gin", "shoal", benchGin(func(e *gin.Engine) { shoalgin.Install(e, shoal.New(), httpmetrics.Opts{}) })},
		{"echo", "bare", benchEcho(func(*echo.Echo) {})},
		{"echo", "passing", benchEcho(func(e *echo.Echo) {
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error { return next(c) }
			})
		})},
		{"echo", "shoal", benchEcho(func(e *echo.Echo) { shoalecho.Install(e, shoal.New(), httpmetrics.Opts{}) })},
	} {
		name := "router=" + side.router + "/side=" + side.name
		b.Run(name+"/mode=serial", func(b *testing.B) {
			w, requests := discarding{http.Header{}}, benchRequests()
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % benchRoutes {
				side.handler.ServeHTTP(w, requests[i])
			}
		})
		b.Run(name+"/mode=parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w, requests := discarding{http.Header{}}, benchRequests()
				for i := 0; pb.Next(); i = (i + 1) % benchRoutes {
					side.handler.ServeHTTP(w, requests[i])
				}
			})
		})
	}
}

// discarding costs nothing, so that what is left is router and middleware.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header         { return d.header }
func (d discarding) WriteHeader(int)             {}
func (d discarding) Write(b []byte) (int, error) { return len(b), nil }

func benchRequests() (list [benchRoutes]*http.Request) {
	for i := range list {
		list[i] = httptest.NewRequest(http.MethodGet, fmt.Sprintf("/shops/%d/users/7/orders/%d", i, 1000+i), nil)
	}
	return list
}

func benchPattern(i int) string { return fmt.Sprintf("/shops/%d/users/{user}/orders/{order}", i) }

func writeNothing(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }

func benchHTTP(reg *shoal.Registry) http.Handler {
	mux := http.NewServeMux()
	for i := range benchRoutes {
		mux.HandleFunc("GET "+benchPattern(i), writeNothing)
	}
	if reg == nil {
		return mux
	}
	return shoalhttp.Install(mux, reg, httpmetrics.Opts{})
}

func benchChi(install func(chi.Router)) http.Handler {
	router := chi.NewRouter()
	install(router)
	for i := range benchRoutes {
		router.Get(benchPattern(i), writeNothing)
	}
	return router
}

func benchGin(install func(*gin.Engine)) http.Handler {
	engine := gin.New()
	install(engine)
	for i := range benchRoutes {
		engine.GET(framework{colon: true}.pattern(benchPattern(i)), func(c *gin.Context) { _, _ = c.Writer.Write(nil) })
	}
	return engine
}

func benchEcho(install func(*echo.Echo)) http.Handler {
	e := echo.New()
	install(e)
	for i := range benchRoutes {
		e.GET(framework{colon: true}.pattern(benchPattern(i)), func(c echo.Context) error {
			_, err := c.Response().Write(nil)
			return err
		})
	}
	return e
}
