// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
)

// A deadline that passed does not decide the status: what is recorded is what the client got.
func TestPassedDeadline_TheStatusIsWhatTheClientGot(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int
	}{
		"gateway timeout":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusGatewayTimeout) }, 504},
		"request timeout":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) }, 408},
		"bad request":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadRequest) }, 400},
		"ok in spite of it": {text("ok"), 200},
		"nothing":           {func(http.ResponseWriter, *http.Request) {}, 200},
		"nothing but hints": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }, 200},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				if f.name == "gin" && name == "nothing but hints" {
					return // gin sends no other status after an informational one
				}
				s := newSiteBehind(t, f, httpmetrics.Opts{}, deadline(soon), route{"GET", "/x", func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					tt.handler(w, r)
				}})
				status, _ := s.do("GET", "/x", nil)
				s.finish()
				if status != tt.status {
					t.Errorf("the client got %d, want %d", status, tt.status)
				}
				s.wantOnly("GET", "/x", strconv.Itoa(tt.status))
			})
		})
	}
}

// In echo a handler's error is the answer, wherever the deadline was set.
func TestPassedDeadline_EchosErrorIsTheStatus(t *testing.T) {
	contextual := middleware.ContextTimeout(soon)
	for name, use := range map[string]func(e *echo.Echo){
		"before routing": func(e *echo.Echo) { e.Pre(contextual) },
		"inside":         func(e *echo.Echo) { e.Use(contextual) },
	} {
		for want, err := range map[int]error{
			504: echo.NewHTTPError(http.StatusGatewayTimeout),
			408: echo.NewHTTPError(http.StatusRequestTimeout),
			400: echo.ErrBadRequest,
			500: errors.New("broken"),
		} {
			t.Run(name+"/"+strconv.Itoa(want), func(t *testing.T) {
				reg := shoaltest.New(t)
				e := quietEcho()
				shoalecho.Install(e, reg, shoalecho.Opts{})
				use(e)
				e.GET("/x", func(c echo.Context) error {
					<-c.Request().Context().Done()
					return err
				})
				if w := answer(e, httptest.NewRequest("GET", "/x", nil)); w.Code != want {
					t.Errorf("the client got %d, want %d", w.Code, want)
				}
				wantSeries(t, reg, "GET", "/x", strconv.Itoa(want))
			})
		}
	}
}

// The middlewares that frameworks have for deadlines.
func TestPassedDeadline_TheFrameworksOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		build func(reg *shoal.Registry) http.Handler
		want  int
	}{
		"chi": {func(reg *shoal.Registry) http.Handler {
			r := chiOf(reg)
			r.Use(chimiddleware.Timeout(soon))
			r.Get("/x", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			return r
		}, 504},
		"gin": {func(reg *shoal.Registry) http.Handler {
			e := ginOf(reg)
			e.GET("/x", func(c *gin.Context) {
				<-c.Request.Context().Done()
				c.AbortWithStatus(http.StatusGatewayTimeout) // gin notes it, and sends it later
			})
			return deadline(soon)(e)
		}, 504},
		"echo": {func(reg *shoal.Registry) http.Handler {
			e := echoOf(reg)
			e.Use(middleware.ContextTimeout(soon))
			e.GET("/x", func(c echo.Context) error {
				<-c.Request().Context().Done()
				return c.Request().Context().Err()
			})
			return e
		}, 503},
		"echo v5": {echoV5ContextTimeout, 503},
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			if w := answer(tt.build(reg), httptest.NewRequest("GET", "/x", nil)); w.Code != tt.want {
				t.Errorf("the client got %d, want %d", w.Code, tt.want)
			}
			wantSeries(t, reg, "GET", "/x", strconv.Itoa(tt.want))
		})
	}
	t.Run("streams go on", func(t *testing.T) {
		forEach(t, func(t *testing.T, f framework) {
			s := newSiteBehind(t, f, httpmetrics.Opts{}, deadline(soon), route{"GET", "/x", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "begun")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}})
			s.do("GET", "/x", nil)
			s.finish()
			s.wantOnly("GET", "/x", "200")
		})
	})
}

// deadlinePassed is a context whose deadline passes when done is closed.
type deadlinePassed struct {
	context.Context
	done chan struct{}
}

func (d *deadlinePassed) Done() <-chan struct{} { return d.done }

func (d *deadlinePassed) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
