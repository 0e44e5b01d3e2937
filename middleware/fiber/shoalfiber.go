// SPDX-License-Identifier: Apache-2.0

package shoalfiber

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v3"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
)

// Opts are the options of the middleware. The zero value is ready to use. Strings that its
// functions get from a fiber.Ctx may be returned as they are: what is kept is copied.
type Opts = httpmetrics.OptsOf[fiber.Ctx]

// Label is a label of Opts.Labels.
type Label = httpmetrics.LabelOf[fiber.Ctx]

// Middleware records the requests that pass through it. It belongs outermost:
// app.Use(shoalfiber.Middleware(reg, opts)) before any other Use; a recover middleware may
// be outside or inside. It panics if reg is nil or opts clash with what is registered.
//
// fiber turns a handler's error into an answer only after all middleware, too late to see
// the status. So this one calls the error handler itself, as fiber's logger does, and
// returns nil: the error handler runs once, and middleware further out sees the answer
// instead of the error.
func Middleware(reg *shoal.Registry, opts Opts) fiber.Handler {
	rec := shoalfasthttp.NewRecorder(reg, opts, route)
	return func(c fiber.Ctx) error {
		if rec.Skips(c) {
			return c.Next()
		}
		x := rec.Begin(c.RequestCtx(), c)
		defer x.End()
		if l := x.InnerLabels(); l != nil {
			c.SetContext(context.WithValue(c.Context(), httpmetrics.InnerLabelsKey{}, l))
		}
		if err := c.Next(); err != nil {
			if refused(c) {
				x.Discard()
				return err
			}
			if c.App().ErrorHandler(c, err) != nil {
				_ = c.SendStatus(fiber.StatusInternalServerError)
			}
		}
		x.Returned()
		return nil
	}
}

// Handler returns the page of the registry, see [shoalfasthttp.Handler]. It is not recorded
// by a middleware around it.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) fiber.Handler {
	page := shoalfasthttp.Handler(reg, opts)
	return func(c fiber.Ctx) error {
		page(c.RequestCtx())
		return nil
	}
}

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel]. It keeps a copy of value.
func SetLabel(c fiber.Ctx, name, value string) {
	httpmetrics.SetLabel(c.RequestCtx(), name, value)
}

// Install puts the middleware and the page, for GET and HEAD, on app. Call it before any
// other app.Use and before the routes: fiber goes through both in the order in which they
// were added, and would silently serve earlier routes without the middleware. So it panics if
// there is a route already. It also panics if app or reg is nil, or if opts clash with what
// is registered.
//
// An authentication that is added after Install does not guard the page. To guard the page
// and record what it refuses, use [Middleware], then the authentication, then [Handler] as a
// route.
func Install(app *fiber.App, reg *shoal.Registry, opts Opts) {
	mustHave(app)
	for _, r := range app.GetRoutes(true) {
		if r.Path != opts.PagePath() { // which is there if Install is called twice
			panic(fmt.Sprintf("shoalfiber: the app has routes already, such as %s %s, which fiber would serve without the middleware: call Install before adding routes", r.Method, r.Path))
		}
	}
	app.Use(Middleware(reg, opts))
	page := Handler(reg, opts.Page)
	app.Get(opts.PagePath(), page)
	if slices.Contains(app.Config().RequestMethods, fiber.MethodHead) {
		app.Head(opts.PagePath(), page)
	}
}

// Run serves app on addr until ctx is done, then drains the requests and closes the
// registry, in this order; see [shoalfasthttp.Serve]. Further servers, such as
// [httpmetrics.PageServer], start and end with it. It prints no banner. It panics if app or
// reg is nil.
//
// It serves in this process alone. For several processes there are fiber's own prefork, by
// app.Listen, and package prefork, whose workers use [RunListener].
func Run(ctx context.Context, app *fiber.App, addr string, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(app)
	return serve(ctx, app, reg, httpmetrics.Other{Addr: addr}, also...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT, one of tls.NewListener. It closes l in any case.
func RunListener(ctx context.Context, app *fiber.App, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(app)
	shoalfasthttp.MustListen(l)
	return serve(ctx, app, reg, httpmetrics.Other{Listener: l}, also...)
}

func serve(ctx context.Context, app *fiber.App, reg *shoal.Registry, o httpmetrics.Other, also ...*http.Server) error {
	o.Serve = func(l net.Listener) error {
		return app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
	}
	o.Shutdown = app.ShutdownWithContext
	return shoalfasthttp.Serve(ctx, reg, app.Server(), o, also...)
}

func mustHave(app *fiber.App) {
	if app == nil {
		panic("shoalfiber: the app is nil: give it fiber.New()")
	}
}
