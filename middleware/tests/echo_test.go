// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
)

// echo's own middleware is tested here: what it needs stays out of the
// adapter's go.mod.

func quietEcho() *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	return e
}

func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func wantSeries(t *testing.T, reg *shoal.Registry, method, route, code string) {
	t.Helper()
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", method, "route", route, "code", code); got != 1 {
		t.Errorf("%v requests %s %s %s, want 1", got, method, route, code)
	}
}

func TestEcho_SizeIsThatOfTheCompressedBody(t *testing.T) {
	reg := shoaltest.New(t)
	e := quietEcho()
	shoalecho.Install(e, reg, shoalecho.Opts{ResponseSize: true})
	e.Use(middleware.Gzip())
	e.GET("/x", func(c echo.Context) error { return c.String(http.StatusOK, strings.Repeat("a", 10_000)) })
	r := httptest.NewRequest("GET", "/x", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := answer(e, r)
	got := shoaltest.Sum(t, reg, "http_response_size_bytes", "method", "GET", "route", "/x", "code", "200")
	if got != float64(w.Body.Len()) || got >= 10_000 {
		t.Errorf("%v bytes recorded, %d were sent", got, w.Body.Len())
	}
	r = httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	answer(e, r)
	if shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/metrics", "code", "200") {
		t.Error("the page was recorded")
	}
}
