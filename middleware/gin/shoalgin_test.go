// SPDX-License-Identifier: Apache-2.0

package shoalgin_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter, gin.DefaultErrorWriter = io.Discard, io.Discard
	os.Exit(m.Run())
}

func ok(c *gin.Context) { c.String(http.StatusOK, "ok") }

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

func TestStatusIsWhatTheClientGets(t *testing.T) {
	tests := []struct {
		promise, target string
		handler         gin.HandlerFunc
		code            int
		label           string
	}{
		{"status noted and never written", "/x", func(c *gin.Context) { c.Status(http.StatusNoContent) }, 204, "204"},
		{"aborted with a status", "/x", func(c *gin.Context) { c.AbortWithStatus(http.StatusForbidden) }, 403, "403"},
		{"noted twice, the last one is sent", "/x", func(c *gin.Context) { c.Status(202); c.String(201, "made") }, 201, "201"},
		{"noted after the body", "/x", func(c *gin.Context) { c.String(200, "ok"); c.Status(500) }, 200, "200"},
		{"early hints noted and not sent", "/x", func(c *gin.Context) { c.Status(103); c.String(200, "ok") }, 200, "200"},
		{"redirect", "/x", func(c *gin.Context) { c.Redirect(http.StatusFound, "/y") }, 302, "302"},
		{"header sent at once", "/x", func(c *gin.Context) { c.Writer.WriteHeader(202); c.Writer.WriteHeaderNow() }, 202, "202"},
		{"written as a string", "/x", func(c *gin.Context) { c.Writer.WriteHeader(203); _, _ = c.Writer.WriteString("x") }, 203, "203"},
		{"flushed", "/x", func(c *gin.Context) { c.Writer.WriteHeader(206); c.Writer.Flush() }, 206, "206"},
	}
	for _, tt := range tests {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := gin.New()
			shoalgin.Install(e, reg, shoalgin.Opts{})
			e.GET("/x", tt.handler)
			if w := serve(e, "GET", tt.target); w.Code != tt.code {
				t.Errorf("the client got %d, want %d", w.Code, tt.code)
			}
			wantOne(t, reg, "GET", "/x", tt.label)
		})
	}
}

func TestUnmatchedRequestsAreRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare        func(*gin.Engine)
		method, target string
		code           string
	}{
		"404 of gin":         {func(*gin.Engine) {}, "GET", "/nothing", "404"},
		"405 where enabled":  {func(e *gin.Engine) { e.HandleMethodNotAllowed = true }, "POST", "/x", "405"},
		"405 where disabled": {func(*gin.Engine) {}, "POST", "/x", "404"},
		"NoRoute's answer":   {func(e *gin.Engine) { e.NoRoute(func(c *gin.Context) { c.String(410, "gone") }) }, "GET", "/nothing", "410"},
		"NoRoute's status":   {func(e *gin.Engine) { e.NoRoute(func(c *gin.Context) { c.Status(410) }) }, "GET", "/nothing", "410"},
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := gin.New()
			shoalgin.Install(e, reg, shoalgin.Opts{})
			tt.prepare(e)
			e.GET("/x", ok)
			serve(e, tt.method, tt.target)
			wantOne(t, reg, tt.method, "unmatched", tt.code)
		})
	}
}

// After early hints gin takes no other status, and net/http sends 200.
func TestPanicAfterEarlyHintsAndABodyIs200(t *testing.T) {
	reg := shoaltest.New(t)
	e := gin.New()
	e.Use(gin.Recovery())
	shoalgin.Install(e, reg, shoalgin.Opts{})
	e.GET("/x", func(c *gin.Context) {
		c.Writer.WriteHeader(http.StatusEarlyHints)
		c.Writer.WriteHeaderNow()
		_, _ = c.Writer.WriteString("so far")
		panic("boom")
	})
	server := httptest.NewServer(e)
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the client got %d", res.StatusCode)
	}
	server.Close()
	wantOne(t, reg, "GET", "/x", "200")
}

func TestInstall_RefusesWhenThereAreRoutes(t *testing.T) {
	e := gin.New()
	e.GET("/early", ok)
	defer func() {
		text, _ := recover().(string)
		if !strings.Contains(text, "/early") || !strings.Contains(text, "Install before") {
			t.Errorf("the panic %q names neither the route nor the remedy", text)
		}
	}()
	shoalgin.Install(e, shoaltest.New(t), shoalgin.Opts{})
	t.Error("no panic, and /early would not be recorded")
}

// hiding is a writer without Unwrap, like those of gin's own middlewares.
type hiding struct{ gin.ResponseWriter }

func TestPageIsNotRecordedBehindAWriterWithoutUnwrap(t *testing.T) {
	reg := shoaltest.New(t)
	e := gin.New()
	shoalgin.Install(e, reg, shoalgin.Opts{MetricsPath: "/m"})
	e.GET("/wrapped", func(c *gin.Context) { c.Writer = hiding{c.Writer} }, shoalgin.Handler(reg, shoal.HandlerOpts{}))
	serve(e, "GET", "/m")
	if shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/m", "code", "200") {
		t.Error("the page was recorded")
	}
	serve(e, "GET", "/wrapped") // the page can't find the exchange, so it is recorded like any route
	wantOne(t, reg, "GET", "/wrapped", "200")
}

func TestClientGoneIs499EvenIfTheRequestWasReplaced(t *testing.T) {
	reg := shoaltest.New(t)
	e := gin.New()
	shoalgin.Install(e, reg, shoalgin.Opts{})
	e.GET("/x", func(c *gin.Context) { c.Request = c.Request.WithContext(context.WithoutCancel(c.Request.Context())) })
	e.GET("/y", func(c *gin.Context) {
		ctx, cancel := context.WithCancel(c.Request.Context())
		c.Request = c.Request.WithContext(ctx)
		cancel()
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "GET", "/x", nil))
	wantOne(t, reg, "GET", "/x", "499")
	serve(e, "GET", "/y")
	wantOne(t, reg, "GET", "/y", "200")
}
