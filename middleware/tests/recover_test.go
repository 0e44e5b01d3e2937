// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

// What recovers from panics may be further out than the middleware, or further in.
func TestPanicIs500OnceWhereverItIsRecovered(t *testing.T) {
	quiet := echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true})
	build := map[string]func(reg *shoal.Registry) http.Handler{
		"chi, outside": func(reg *shoal.Registry) http.Handler {
			r := chi.NewRouter()
			r.Use(chimiddleware.Recoverer)
			shoalchi.Install(r, reg, shoalchi.Opts{})
			r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
			return r
		},
		"chi, inside": func(reg *shoal.Registry) http.Handler {
			r := chi.NewRouter()
			shoalchi.Install(r, reg, shoalchi.Opts{})
			r.With(chimiddleware.Recoverer).Get("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
			return r
		},
		"gin, outside": func(reg *shoal.Registry) http.Handler {
			e := ginOf(reg, gin.Recovery())
			e.GET("/panic", func(*gin.Context) { panic("boom") })
			return e
		},
		"gin, inside": func(reg *shoal.Registry) http.Handler {
			e := gin.New()
			shoalgin.Install(e, reg, shoalgin.Opts{})
			e.Use(gin.Recovery())
			e.GET("/panic", func(*gin.Context) { panic("boom") })
			return e
		},
		"gin, outside, with a status that was only noted": func(reg *shoal.Registry) http.Handler {
			e := ginOf(reg, gin.Recovery())
			e.GET("/panic", func(c *gin.Context) { c.Status(404); panic("boom") })
			return e
		},
		"echo, outside": func(reg *shoal.Registry) http.Handler {
			e := quietEcho()
			e.Use(quiet)
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.GET("/panic", func(echo.Context) error { panic("boom") })
			return e
		},
		"echo, inside": func(reg *shoal.Registry) http.Handler {
			e := echoOf(reg)
			e.Use(quiet)
			e.GET("/panic", func(echo.Context) error { panic("boom") })
			return e
		},
	}
	maps.Copy(build, echoV5Panics)
	for name, build := range build {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			r := chimiddleware.WithLogEntry(httptest.NewRequest("GET", "/panic", nil), silent{})
			if w := answer(build(reg), r); w.Code != http.StatusInternalServerError {
				t.Errorf("the client got %d", w.Code)
			}
			wantSeries(t, reg, "GET", "/panic", "500")
			if got := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); got != 0 {
				t.Errorf("%v in flight, want 0", got)
			}
		})
	}
}

// silent keeps the report of chi's Recoverer out of the test's output.
type silent struct{}

func (silent) Write(int, int, http.Header, time.Duration, any) {}
func (silent) Panic(any, []byte)                               {}
