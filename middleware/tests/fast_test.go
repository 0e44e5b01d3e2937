// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/router"
	fiberv2 "github.com/gofiber/fiber/v2"
	recoverv2 "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v3"
	recoverv3 "github.com/gofiber/fiber/v3/middleware/recover"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
	shoalfiberv2 "github.com/shoal-metrics/shoal/middleware/fiberv2"
	"github.com/valyala/fasthttp"
)

// fastRoute is a route of a framework on fasthttp, in fiber's spelling.
type fastRoute struct {
	method, path string
	handler      fasthttp.RequestHandler
}

// recovery says where what recovers from panics is. Without it a panic ends the process.
type recovery string

const (
	recoveredOutside recovery = "outside"
	recoveredInside  recovery = "inside"
)

// fast is a framework on fasthttp. It builds the same application with one of the
// middlewares.
type fast struct {
	name string
	// build makes an application by the package's Install.
	build func(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) fasthttp.RequestHandler
	// run makes one and serves it by the package's Run, or on a listener by RunListener.
	run func(ctx context.Context, reg *shoal.Registry, routes []fastRoute, addr string, l net.Listener, also ...*http.Server) error
	// setLabel calls the package's SetLabel.
	setLabel func(ctx *fasthttp.RequestCtx, name, value string)
}

// pattern gives a pattern the way that the framework spells it.
func (f fast) pattern(path string) string {
	if f.name == "fasthttp" {
		path = strings.ReplaceAll(path, ":id", "{id}")
	}
	return path
}

// of has functions that get a RequestCtx get it from what the framework has.
func of[R any](o shoalfasthttp.Opts, ctx func(R) *fasthttp.RequestCtx) httpmetrics.OptsOf[R] {
	to := httpmetrics.OptsOf[R]{
		StatusClasses: o.StatusClasses, RequestSize: o.RequestSize, ResponseSize: o.ResponseSize,
		Methods: o.Methods, SkipRoutes: o.SkipRoutes, MetricsPath: o.MetricsPath, Page: o.Page,
	}
	label := func(l shoalfasthttp.Label) (to httpmetrics.LabelOf[R]) {
		to.Name = l.Name
		if l.Value != nil {
			to.Value = func(r R) string { return l.Value(ctx(r)) }
		}
		return to
	}
	for _, l := range o.Labels {
		to.Labels = append(to.Labels, label(l))
	}
	to.InFlightLabel = label(o.InFlightLabel)
	if o.Skip != nil {
		to.Skip = func(r R) bool { return o.Skip(ctx(r)) }
	}
	if o.Route != nil {
		to.Route = func(r R) string { return o.Route(ctx(r)) }
	}
	if o.Stream != nil {
		to.Stream = func(r R, contentType string) bool { return o.Stream(ctx(r), contentType) }
	}
	return to
}

// recovers answers 500 for a panic.
func recovers(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if recover() != nil {
				ctx.Error("panic", fasthttp.StatusInternalServerError)
			}
		}()
		next(ctx)
	}
}

// routeOfRouter is the line of the README for github.com/fasthttp/router.
func routeOfRouter(ctx *fasthttp.RequestCtx) string {
	pattern, _ := ctx.UserValue(router.MatchedRoutePathParam).(string)
	return pattern
}

func buildFastHTTP(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) fasthttp.RequestHandler {
	r := router.New()
	r.SaveMatchedRoutePath = true
	for _, route := range routes {
		r.Handle(route.method, strings.ReplaceAll(route.path, ":id", "{id}"), route.handler)
	}
	if opts.Route == nil {
		opts.Route = routeOfRouter
	}
	if where == recoveredInside {
		return shoalfasthttp.Install(recovers(r.Handler), reg, opts)
	}
	return recovers(shoalfasthttp.Install(r.Handler, reg, opts))
}

func newFiber(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) *fiber.App {
	app := fiber.New()
	if where != recoveredInside {
		app.Use(recoverv3.New())
	}
	shoalfiber.Install(app, reg, of(opts, fiber.Ctx.RequestCtx))
	if where == recoveredInside {
		app.Use(recoverv3.New())
	}
	for _, route := range routes {
		app.Add([]string{route.method}, route.path, func(c fiber.Ctx) error {
			route.handler(c.RequestCtx())
			return nil
		})
	}
	return app
}

func newFiberV2(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) *fiberv2.App {
	app := fiberv2.New(fiberv2.Config{DisableStartupMessage: true})
	if where != recoveredInside {
		app.Use(recoverv2.New())
	}
	shoalfiberv2.Install(app, reg, of(opts, (*fiberv2.Ctx).Context))
	if where == recoveredInside {
		app.Use(recoverv2.New())
	}
	for _, route := range routes {
		app.Add(route.method, route.path, func(c *fiberv2.Ctx) error {
			route.handler(c.Context())
			return nil
		})
	}
	return app
}

var fasts = []fast{
	{name: "fasthttp", build: buildFastHTTP, setLabel: shoalfasthttp.SetLabel,
		run: func(ctx context.Context, reg *shoal.Registry, routes []fastRoute, addr string, l net.Listener, also ...*http.Server) error {
			server := &fasthttp.Server{Handler: buildFastHTTP(reg, shoalfasthttp.Opts{}, recoveredOutside, routes), Logger: quiet{}}
			if l != nil {
				return shoalfasthttp.RunListener(ctx, server, l, reg, also...)
			}
			return shoalfasthttp.Run(ctx, server, addr, reg, also...)
		}},
	{name: "fiber",
		build: func(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) fasthttp.RequestHandler {
			return newFiber(reg, opts, where, routes).Handler()
		},
		run: func(ctx context.Context, reg *shoal.Registry, routes []fastRoute, addr string, l net.Listener, also ...*http.Server) error {
			app := newFiber(reg, shoalfasthttp.Opts{}, recoveredOutside, routes)
			if l != nil {
				return shoalfiber.RunListener(ctx, app, l, reg, also...)
			}
			return shoalfiber.Run(ctx, app, addr, reg, also...)
		},
		setLabel: func(ctx *fasthttp.RequestCtx, name, value string) {
			app := fiber.New()
			c := app.AcquireCtx(ctx)
			defer app.ReleaseCtx(c)
			shoalfiber.SetLabel(c, name, value)
		}},
	{name: "fiberv2",
		build: func(reg *shoal.Registry, opts shoalfasthttp.Opts, where recovery, routes []fastRoute) fasthttp.RequestHandler {
			return newFiberV2(reg, opts, where, routes).Handler()
		},
		run: func(ctx context.Context, reg *shoal.Registry, routes []fastRoute, addr string, l net.Listener, also ...*http.Server) error {
			app := newFiberV2(reg, shoalfasthttp.Opts{}, recoveredOutside, routes)
			if l != nil {
				return shoalfiberv2.RunListener(ctx, app, l, reg, also...)
			}
			return shoalfiberv2.Run(ctx, app, addr, reg, also...)
		},
		setLabel: func(ctx *fasthttp.RequestCtx, name, value string) {
			app := fiberv2.New()
			c := app.AcquireCtx(ctx)
			defer app.ReleaseCtx(c)
			shoalfiberv2.SetLabel(c, name, value)
		}},
}

// quiet is a fasthttp.Logger.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func forEachFast(t *testing.T, test func(t *testing.T, f fast)) {
	for _, f := range fasts {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

// newFastSite is newSite for a framework on fasthttp.
func newFastSite(t *testing.T, f fast, opts shoalfasthttp.Opts, routes ...fastRoute) *site {
	t.Helper()
	reg := shoaltest.New(t)
	return fastSiteOf(t, reg, f.build(reg, opts, recoveredOutside, routes))
}

// fastSiteOf is siteOf for a handler of fasthttp. It closes idle connections at once.
func fastSiteOf(t *testing.T, reg *shoal.Registry, h fasthttp.RequestHandler) *site {
	t.Helper()
	server := &fasthttp.Server{Handler: h, Logger: quiet{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	s := &site{t: t, reg: reg, server: &httptest.Server{URL: "http://" + l.Addr().String(), Listener: l}, client: newClient()}
	s.stop = func() {
		_ = l.Close()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.ShutdownWithContext(ctx)
	}
	t.Cleanup(s.stop)
	return s
}
