// SPDX-License-Identifier: Apache-2.0

package shoalecho

import (
	"net/http"

	"github.com/labstack/echo/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. It belongs outermost:
// e.Use(shoalecho.Middleware(reg, opts)) before any other Use. It panics if reg
// is nil or opts clash with what is registered.
//
// echo turns a handler's error into an answer only after all middleware, too late to
// see the status. So this one calls the error handler itself, as echo's RequestLogger
// with HandleError does, but returns nil: the error handler runs once, and middleware
// further out sees the answer instead of the error.
func Middleware(reg *shoal.Registry, opts Opts) echo.MiddlewareFunc {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if rec.Skips(c.Request()) {
				return next(c)
			}
			inner := writer(c)
			w, x := rec.Wrap(inner, c.Request(), nil)
			setWriter(c, w)
			c.SetRequest(x.Inside(c.Request()))
			x.SetRoute(route(c))
			defer func() {
				if writer(c) == w {
					setWriter(c, inner)
				}
				x.End()
			}()
			if err := next(c); err != nil {
				c.Echo().HTTPErrorHandler(c, err)
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

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel].
func SetLabel(c *echo.Context, name, value string) {
	httpmetrics.SetLabel(c.Request().Context(), name, value)
}

// Install puts the middleware and the page, for GET and HEAD, on e. Call it
// before any other e.Use. Routes may be added before and after. It panics if e
// or reg is nil, or if opts clash with what is registered.
//
// The page is a route, and echo puts all middleware of e.Use around every route:
// an authentication guards the page as well, whether it is added before or after
// Install.
func Install(e *echo.Echo, reg *shoal.Registry, opts Opts) {
	mustHave(e)
	e.Use(Middleware(reg, opts))
	page := Handler(reg, opts.Page)
	e.GET(opts.PagePath(), page)
	e.HEAD(opts.PagePath(), page)
}

// writer returns what the answer goes to. That is the writer below echo's Response: it
// gets the status that the Before hooks of the Response have left. If a middleware
// further out has put a writer of its own around the Response, it is that one, which may
// hold the answer back until this middleware has returned.
func writer(c *echo.Context) http.ResponseWriter {
	if res, ok := c.Response().(*echo.Response); ok {
		return res.ResponseWriter
	}
	return c.Response()
}

// setWriter replaces what writer returns.
func setWriter(c *echo.Context, w http.ResponseWriter) {
	if res, ok := c.Response().(*echo.Response); ok {
		res.ResponseWriter = w
		return
	}
	c.SetResponse(w)
}

// route returns the pattern that the router found. If a path has routes, but none for the
// method, echo names a pattern too, although it answers 405. RouteInfo would tell that
// as well, but allocates for a route with parameters.
func route(c *echo.Context) string {
	if c.Get(echo.ContextKeyHeaderAllow) != nil {
		return httpmetrics.Unmatched
	}
	return c.Path()
}
