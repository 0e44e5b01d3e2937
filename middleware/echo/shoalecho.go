// SPDX-License-Identifier: Apache-2.0

package shoalecho

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. It belongs outermost:
// e.Use(shoalecho.Middleware(reg, opts)) before any other Use. It panics if
// opts clash with what is registered.
//
// echo turns a handler's error into an answer only after all middleware, too
// late to see the status. So this one calls the error handler itself, as echo's
// Logger does, and returns nil: the handler is called once, and middleware
// further out sees the answer instead of the error.
func Middleware(reg *shoal.Registry, opts Opts) echo.MiddlewareFunc {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			res := c.Response()
			inner := res.Writer
			w, x := rec.Wrap(inner, c.Request(), nil)
			res.Writer = w
			x.SetRoute(route(c))
			defer func() {
				if res.Writer == w {
					res.Writer = inner
				}
				x.End()
			}()
			if err := next(c); err != nil {
				c.Error(err)
			}
			x.Returned()
			return nil
		}
	}
}

// Handler returns the page of the registry. It is not recorded by a middleware
// around it.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) echo.HandlerFunc {
	return echo.WrapHandler(httpmetrics.Handler(reg, opts))
}

// Install puts the middleware and the page, for GET and HEAD, on e. Call it
// before any other e.Use. Routes may be added before and after. It panics if
// opts clash with what is registered.
func Install(e *echo.Echo, reg *shoal.Registry, opts Opts) {
	e.Use(Middleware(reg, opts))
	page := Handler(reg, opts.Page)
	e.GET(opts.PagePath(), page)
	e.HEAD(opts.PagePath(), page)
}

// Run serves e on addr, by e.Server and with what is set there, until ctx is
// done, then drains the requests and closes the registry, in this order; see
// [httpmetrics.Serve]. Further servers, such as [httpmetrics.PageServer], start
// and end with it.
func Run(ctx context.Context, e *echo.Echo, addr string, reg *shoal.Registry, also ...*http.Server) error {
	server := e.Server
	server.Addr, server.Handler, server.ErrorLog = addr, e, e.StdLogger
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

// route gives the pattern that the router found. For a path that is known but
// not for the method, echo names a pattern too, which then has no handler. It
// has no parameters then either: looking at them first saves most requests the
// 17 ns of Get, which takes a lock.
func route(c echo.Context) string {
	if len(c.ParamNames()) == 0 && c.Get(echo.ContextKeyHeaderAllow) != nil {
		return httpmetrics.Unmatched
	}
	return c.Path()
}
