// SPDX-License-Identifier: Apache-2.0

package shoalecho_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echov5"
)

func ok(c *echo.Context) error { return c.String(http.StatusOK, "ok") }

func newEcho() *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	return e
}

func serve(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func wantOne(t *testing.T, reg *shoal.Registry, method, route, code string) {
	t.Helper()
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", method, "route", route, "code", code); got != 1 {
		t.Errorf("%v requests %s %s %s, want 1", got, method, route, code)
	}
}

var errMissing = errors.New("missing")

func TestStatusOfAnErrorIsWhatTheErrorHandlerSendsAndItRunsOnce(t *testing.T) {
	tests := []struct {
		promise string
		handler echo.HandlerFunc
		code    int
		label   string
		handled int
	}{
		{"HTTP error", func(*echo.Context) error { return echo.NewHTTPError(http.StatusConflict, "taken") }, 409, "409", 1},
		{"any other error", func(*echo.Context) error { return errors.New("broken") }, 500, "500", 1},
		{"error that the application translates", func(*echo.Context) error { return errMissing }, 404, "404", 1},
		{"error after an answer", func(c *echo.Context) error { _ = c.NoContent(202); return errors.New("late") }, 202, "202", 1},
		{"no error", ok, 200, "200", 0},
		{"nothing written", func(*echo.Context) error { return nil }, 200, "200", 0},
		{"not found said by the handler keeps its route", func(*echo.Context) error { return echo.ErrNotFound }, 404, "404", 1},
	}
	for _, tt := range tests {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := newEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			handled := 0
			e.HTTPErrorHandler = func(c *echo.Context, err error) {
				handled++
				if errors.Is(err, errMissing) {
					_ = c.NoContent(http.StatusNotFound)
					return
				}
				echo.DefaultHTTPErrorHandler(false)(c, err)
			}
			e.GET("/x", tt.handler)
			if w := serve(e, "GET", "/x"); w.Code != tt.code {
				t.Errorf("the client got %d, want %d", w.Code, tt.code)
			}
			wantOne(t, reg, "GET", "/x", tt.label)
			if handled != tt.handled {
				t.Errorf("the error handler ran %d times, want %d", handled, tt.handled)
			}
		})
	}
}

func TestRouteIsThePatternOfTheRouter(t *testing.T) {
	tests := []struct {
		promise, method, target, route, code string
	}{
		{"of the router", "GET", "/users/7", "/users/:id", "200"},
		{"of a group", "GET", "/api/items/7", "/api/items/:id", "200"},
		{"of the rest of the path", "GET", "/files/a/b", "/files/*", "200"},
		{"of a group's own not found", "GET", "/api/nothing", "/api/*", "404"},
		{"unmatched for 404", "GET", "/nothing", "unmatched", "404"},
		{"unmatched for 405", "POST", "/users/7", "unmatched", "405"},
		{"unmatched for HEAD on GET, which echo does not serve", "HEAD", "/users/7", "unmatched", "405"},
		{"unmatched for OPTIONS that echo answers", "OPTIONS", "/users/7", "unmatched", "204"},
	}
	for _, tt := range tests {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := newEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.GET("/users/:id", ok)
			e.GET("/files/*", ok)
			api := e.Group("/api")
			api.GET("/items/:id", ok)
			api.RouteNotFound("/*", func(*echo.Context) error { return echo.ErrNotFound })
			serve(e, tt.method, tt.target)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
	}
}

func TestRoutesAddedBeforeInstallAreRecorded(t *testing.T) {
	reg := shoaltest.New(t)
	e := newEcho()
	e.GET("/early", ok)
	shoalecho.Install(e, reg, shoalecho.Opts{})
	serve(e, "GET", "/early")
	wantOne(t, reg, "GET", "/early", "200")
}

func TestPanicOfTheErrorHandlerIs500(t *testing.T) {
	reg := shoaltest.New(t)
	e := newEcho()
	shoalecho.Install(e, reg, shoalecho.Opts{})
	e.HTTPErrorHandler = func(*echo.Context, error) { panic("boom") }
	e.GET("/x", func(*echo.Context) error { return errMissing })
	func() {
		defer func() { _ = recover() }()
		serve(e, "GET", "/x")
	}()
	wantOne(t, reg, "GET", "/x", "500")
}

func TestErrorBecauseTheClientLeftIs499(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"of the context": gone.Err(), // the usual way out of such a handler
		"with a status":  echo.NewHTTPError(http.StatusGatewayTimeout, "too slow").Wrap(gone.Err()),
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := newEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.GET("/x", func(*echo.Context) error { return err })
			e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "GET", "/x", nil))
			wantOne(t, reg, "GET", "/x", "499")
		})
	}
}

func TestHooksOfTheResponseStillRunAndMayChangeTheStatus(t *testing.T) {
	reg := shoaltest.New(t)
	e := newEcho()
	shoalecho.Install(e, reg, shoalecho.Opts{})
	after := 0
	e.GET("/x", func(c *echo.Context) error {
		res, err := echo.UnwrapResponse(c.Response())
		if err != nil {
			return err
		}
		res.Before(func() { res.Status = http.StatusAccepted })
		res.After(func() { after++ })
		return ok(c)
	})
	if w := serve(e, "GET", "/x"); w.Code != http.StatusAccepted || after != 1 {
		t.Errorf("the client got %d, After ran %d times", w.Code, after)
	}
	wantOne(t, reg, "GET", "/x", "202")
}

func TestSetLabel_IsTheLabelThatTheHandlerOrAMiddlewareLearnt(t *testing.T) {
	for promise, tt := range map[string]struct {
		middleware, handler string
		want                string
	}{
		"by a middleware": {"acme", "", "acme"},
		"by the handler":  {"", "acme", "acme"},
		"by both":         {"globex", "acme", "acme"},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := newEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}}})
			set := func(c *echo.Context, value string) {
				if value != "" {
					shoalecho.SetLabel(c, "tenant", value)
				}
			}
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c *echo.Context) error {
					set(c, tt.middleware)
					return next(c)
				}
			})
			e.GET("/x", func(c *echo.Context) error {
				set(c, tt.handler)
				return ok(c)
			})
			serve(e, "GET", "/x")
			labels := []string{"method", "GET", "route", "/x", "code", "200", "tenant", tt.want}
			if got := shoaltest.Value(t, reg, "http_requests_total", labels...); got != 1 {
				t.Errorf("%v requests of the tenant, want 1", got)
			}
		})
	}
}

func TestWriterIsRestored(t *testing.T) {
	for promise, around := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"below echo's Response":  func(w http.ResponseWriter) http.ResponseWriter { return w },
		"around echo's Response": func(w http.ResponseWriter) http.ResponseWriter { return &wrapper{w} },
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := newEcho()
			var before, after []http.ResponseWriter
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c *echo.Context) error {
					c.SetResponse(around(c.Response()))
					before = writers(c)
					err := next(c)
					after = writers(c)
					return err
				}
			})
			shoalecho.Install(e, reg, shoalecho.Opts{})
			var inside []http.ResponseWriter
			e.GET("/x", func(c *echo.Context) error {
				inside = writers(c)
				return ok(c)
			})
			serve(e, "GET", "/x")
			if len(before) == 0 || !slices.Equal(before, after) {
				t.Errorf("a middleware further out had %v and has %v", before, after)
			}
			if len(inside) <= len(before) {
				t.Errorf("the handler had %v, want more than outside: %v", inside, before)
			}
			wantOne(t, reg, "GET", "/x", "200")
		})
	}
}

// wrapper is what a middleware may put around echo's Response.
type wrapper struct{ http.ResponseWriter }

func (w *wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writers are all through which an answer goes.
func writers(c *echo.Context) []http.ResponseWriter {
	var list []http.ResponseWriter
	for w := c.Response(); ; {
		list = append(list, w)
		next, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return list
		}
		w = next.Unwrap()
	}
}
