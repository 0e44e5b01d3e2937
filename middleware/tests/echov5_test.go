// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echov5"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// The packages for echo v4 and v5 have the same names, and so have echo's own. So what the
// tables of this package have for v5 is here.

func quietEchoV5() *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	return e
}

func echoV5Of(reg *shoal.Registry) *echo.Echo {
	e := quietEchoV5()
	shoalecho.Install(e, reg, sized)
	return e
}

func buildEchoV5(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) *echo.Echo {
	e := quietEchoV5()
	shoalecho.Install(e, reg, opts)
	for _, r := range routes {
		e.Add(r.method, framework{colon: true}.pattern(r.path), echo.WrapHandler(r.handler))
	}
	return e
}

var echoV5 = framework{
	name: "echov5", colon: true,
	build: func(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler {
		return buildEchoV5(reg, opts, routes)
	},
	run: func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error {
		return shoalecho.Run(ctx, buildEchoV5(reg, httpmetrics.Opts{}, routes), freeAddress(addr), reg)
	},
}

func runListenerEchoV5(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error {
	return shoalecho.RunListener(ctx, buildEchoV5(reg, httpmetrics.Opts{}, routes), l, reg, also...)
}

// echoV5sWriter takes off what echo puts around the server's ResponseWriter.
func echoV5sWriter(w http.ResponseWriter) http.ResponseWriter {
	return w.(*echo.Response).ResponseWriter
}

// echoV5Nils are calls that lack an argument, and what they say.
func echoV5Nils(ctx context.Context, reg *shoal.Registry, registry, listener string) map[string]nilCall {
	const noEcho = "the Echo is nil: give it echo.New()"
	return map[string]nilCall{
		"echo v5 Middleware":        {registry, func() { shoalecho.Middleware(nil, shoalecho.Opts{}) }},
		"echo v5 Handler":           {registry, func() { shoalecho.Handler(nil, shoal.HandlerOpts{}) }},
		"echo v5 Install":           {registry, func() { shoalecho.Install(echo.New(), nil, shoalecho.Opts{}) }},
		"echo v5 Install, Echo":     {noEcho, func() { shoalecho.Install(nil, reg, shoalecho.Opts{}) }},
		"echo v5 Run":               {registry, func() { _ = shoalecho.Run(ctx, echo.New(), "127.0.0.1:0", nil) }},
		"echo v5 Run, Echo":         {noEcho, func() { _ = shoalecho.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"echo v5 RunListener":       {listener, func() { _ = shoalecho.RunListener(ctx, echo.New(), nil, reg) }},
		"echo v5 RunListener, Echo": {noEcho, func() { _ = shoalecho.RunListener(ctx, nil, nil, reg) }},
	}
}

// echoV5Panics have what recovers further out than the middleware, and further in.
var echoV5Panics = map[string]func(reg *shoal.Registry) http.Handler{
	"echo v5, outside": func(reg *shoal.Registry) http.Handler {
		e := quietEchoV5()
		e.Use(middleware.Recover())
		shoalecho.Install(e, reg, shoalecho.Opts{})
		e.GET("/panic", func(*echo.Context) error { panic("boom") })
		return e
	},
	"echo v5, inside": func(reg *shoal.Registry) http.Handler {
		e := echoV5Of(reg)
		e.Use(middleware.Recover())
		e.GET("/panic", func(*echo.Context) error { panic("boom") })
		return e
	},
}

// echoV5Compressors are ways to put echo's Gzip around the page.
var echoV5Compressors = map[string]func(reg *shoal.Registry) http.Handler{
	"echo v5's Gzip, after Install": func(reg *shoal.Registry) http.Handler {
		e := quietEchoV5()
		shoalecho.Install(e, reg, shoalecho.Opts{})
		e.Use(middleware.Gzip())
		return e
	},
	"echo v5's Gzip, before Install": func(reg *shoal.Registry) http.Handler {
		e := quietEchoV5()
		e.Use(middleware.Gzip())
		shoalecho.Install(e, reg, shoalecho.Opts{})
		return e
	},
	"echo v5's Gzip, for large answers": func(reg *shoal.Registry) http.Handler {
		e := quietEchoV5()
		shoalecho.Install(e, reg, shoalecho.Opts{})
		e.Use(middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 20}))
		return e
	},
}

var echoV5Nestings = []nesting{
	{"Install twice on echo v5", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoV5Of(reg)
		shoalecho.Install(e, reg, sized)
		e.GET("/users/:id", echo.WrapHandler(leaf))
		return e
	}, "/users/7", "/users/:id"},
	{"on echo v5 and on a group", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoV5Of(reg)
		e.Group("/api", middleware.Gzip(), shoalecho.Middleware(reg, sized)).GET("/users/:id", echo.WrapHandler(leaf))
		return e
	}, "/api/users/7", "/api/users/:id"},
	{"echo v5 in echo v5", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e, inner := echoV5Of(reg), echoV5Of(reg)
		inner.GET("/api/users/:id", echo.WrapHandler(leaf))
		e.Any("/api/*", echo.WrapHandler(inner))
		return e
	}, "/api/users/7", "/api/*"},
	{"an echo v5 that serves again", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoV5Of(reg)
		e.GET("/new/:id", echo.WrapHandler(leaf))
		e.GET("/old/:id", func(c *echo.Context) error {
			c.Request().URL.Path = "/new/7"
			e.ServeHTTP(c.Response(), c.Request())
			return nil
		})
		return e
	}, "/old/7", "/old/:id"},
	{"virtual hosts of echo v5", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		shop := echoV5Of(reg)
		shop.GET("/users/:id", echo.WrapHandler(leaf))
		hosts := map[string]*echo.Echo{"shop": shop}
		e := echo.NewVirtualHostHandler(hosts)
		shoalecho.Install(e, reg, sized)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = "shop"
			e.ServeHTTP(w, r)
		})
	}, "/users/7", "/users/:id"},
	{"around echo v5, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoV5Of(reg)
		e.GET("/users/:id", echo.WrapHandler(leaf))
		return shoalhttp.Middleware(reg, sized)(e)
	}, "/users/7", "/users/:id"},
}

// echoV5Labelled has a middleware and a handler that set labels.
func echoV5Labelled(reg *shoal.Registry) http.Handler {
	e := quietEchoV5()
	shoalecho.Install(e, reg, fromInside)
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if tenant := c.Request().Header.Get("Tenant"); tenant != "" {
				shoalecho.SetLabel(c, "tenant", tenant)
			}
			c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), contextKey{}, "user")))
			return next(c)
		}
	})
	e.GET("/users/:id", func(c *echo.Context) error {
		learn(c.Request(), func(name, value string) { shoalecho.SetLabel(c, name, value) })
		return c.NoContent(http.StatusOK)
	})
	return e
}

// echoV5Upload has a handler of POST /upload.
func echoV5Upload(h http.HandlerFunc) func(reg *shoal.Registry) http.Handler {
	return func(reg *shoal.Registry) http.Handler {
		e := quietEchoV5()
		shoalecho.Install(e, reg, fromInside)
		e.POST("/upload", echo.WrapHandler(h))
		return e
	}
}

// echoV5Registries records in a, in b and again in a.
func echoV5Registries(a, b *shoal.Registry) http.Handler {
	e := quietEchoV5()
	e.Use(shoalecho.Middleware(a, sized), shoalecho.Middleware(b, sized), shoalecho.Middleware(a, sized))
	e.GET("/x", echo.WrapHandler(text("ok")))
	return e
}

func checkV5(_ *echo.Context, name, password string) (bool, error) {
	return name == "ann" && password == "secret", nil
}

// echoV5Guards are the snippets of the README.
var echoV5Guards = func() []guard {
	check := checkV5
	return []guard{
		{"echo v5, middleware after Install", func(reg *shoal.Registry) http.Handler {
			e := quietEchoV5()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.Use(middleware.BasicAuth(check))
			e.GET("/hello", echo.WrapHandler(hello))
			return e
		}, 401, 401, true},
		{"echo v5, middleware before Install", func(reg *shoal.Registry) http.Handler {
			e := quietEchoV5()
			e.Use(middleware.BasicAuth(check))
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.GET("/hello", echo.WrapHandler(hello))
			return e
		}, 401, 401, false},
		{"echo v5, the page's middleware", func(reg *shoal.Registry) http.Handler {
			e := quietEchoV5()
			e.Use(shoalecho.Middleware(reg, shoalecho.Opts{}))
			e.GET("/metrics", shoalecho.Handler(reg, shoal.HandlerOpts{}), middleware.BasicAuth(check))
			e.GET("/hello", echo.WrapHandler(hello))
			return e
		}, 401, 200, true},
		{"echo v5, a handler around the page", func(reg *shoal.Registry) http.Handler {
			e := quietEchoV5()
			e.Use(shoalecho.Middleware(reg, shoalecho.Opts{}))
			e.GET("/metrics", echo.WrapHandler(basicAuth(httpmetrics.Handler(reg, shoal.HandlerOpts{}))))
			e.GET("/hello", echo.WrapHandler(hello))
			return e
		}, 401, 200, true},
	}
}()

// echoV5ContextTimeout is an application with echo's middleware for deadlines.
func echoV5ContextTimeout(reg *shoal.Registry) http.Handler {
	e := echoV5Of(reg)
	e.Use(middleware.ContextTimeout(soon))
	e.GET("/x", func(c *echo.Context) error {
		<-c.Request().Context().Done()
		return c.Request().Context().Err()
	})
	return e
}

func TestPassedDeadline_EchoV5sErrorIsTheStatus(t *testing.T) {
	contextual := middleware.ContextTimeout(soon)
	for name, use := range map[string]func(e *echo.Echo){
		"before routing": func(e *echo.Echo) { e.Pre(contextual) },
		"inside":         func(e *echo.Echo) { e.Use(contextual) },
	} {
		for want, err := range map[int]error{
			504: echo.NewHTTPError(http.StatusGatewayTimeout, "too slow"),
			408: echo.ErrRequestTimeout,
			400: echo.ErrBadRequest,
			500: errors.New("broken"),
		} {
			t.Run(name+"/"+strconv.Itoa(want), func(t *testing.T) {
				reg := shoaltest.New(t)
				e := echoV5Of(reg)
				use(e)
				e.GET("/x", func(c *echo.Context) error {
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

// Gzip further out holds status and body back until the middleware has returned.
func TestEchoV5_GzipFurtherOutDoesNotHideTheStatus(t *testing.T) {
	for name, answered := range map[string]func(c *echo.Context) error{
		"a body":   func(c *echo.Context) error { return c.String(http.StatusCreated, "ok") },
		"none":     func(c *echo.Context) error { return c.NoContent(http.StatusCreated) },
		"an error": func(*echo.Context) error { return echo.NewHTTPError(http.StatusCreated, "made") },
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			e := quietEchoV5()
			e.Use(middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 20}))
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.GET("/x", answered)
			r := httptest.NewRequest("GET", "/x", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			if w := answer(e, r); w.Code != http.StatusCreated {
				t.Errorf("the client got %d", w.Code)
			}
			wantSeries(t, reg, "GET", "/x", "201")
		})
	}
}

// From 5.3 on, echo gives a group with middleware a route for what the group does not know.
func TestEchoV5_UnknownPathBelowAGroupHasTheGroupsRoute(t *testing.T) {
	reg := shoaltest.New(t)
	e := echoV5Of(reg)
	e.Group("/api", middleware.Gzip()).GET("/items/:id", func(c *echo.Context) error { return c.NoContent(http.StatusOK) })
	answer(e, httptest.NewRequest("GET", "/api/nothing", nil))
	wantSeries(t, reg, "GET", "/api/*", "404")
}

// echo answers HEAD by the handler of GET if its router is told to, and counts what GET
// would have sent.
func TestEchoV5_HEADByTheHandlerOfGETHasItsRouteAndNoBody(t *testing.T) {
	reg := shoaltest.New(t)
	e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
	shoalecho.Install(e, reg, sized)
	e.GET("/users/:id", func(c *echo.Context) error { return c.String(http.StatusAccepted, "ok") })
	w := answer(e, httptest.NewRequest("HEAD", "/users/7", nil))
	if w.Code != http.StatusAccepted || w.Body.Len() != 0 {
		t.Errorf("the client got %d %q", w.Code, w.Body)
	}
	wantSeries(t, reg, "HEAD", "/users/:id", "202")
	(&site{t: t, reg: reg}).wantSize("HEAD", "/users/:id", "202", 0)
	if w := answer(e, httptest.NewRequest("HEAD", "/metrics", nil)); w.Code != http.StatusOK {
		t.Errorf("HEAD of the page is %d", w.Code)
	}
}

func TestEchoV5_SizeIsThatOfTheCompressedBody(t *testing.T) {
	reg := shoaltest.New(t)
	e := echoV5Of(reg)
	e.Use(middleware.Gzip())
	e.GET("/x", func(c *echo.Context) error { return c.String(http.StatusOK, strings.Repeat("a", 10_000)) })
	r := httptest.NewRequest("GET", "/x", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := answer(e, r)
	got := shoaltest.Sum(t, reg, "http_response_size_bytes", "method", "GET", "route", "/x", "code", "200")
	if got != float64(w.Body.Len()) || got >= 10_000 {
		t.Errorf("%v bytes recorded, %d were sent", got, w.Body.Len())
	}
}
