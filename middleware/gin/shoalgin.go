// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. gin gives it only to
// routes and groups that are made after engine.Use. It may sit inside or
// outside of gin.Recovery. It panics if opts clash with what is registered.
func Middleware(reg *shoal.Registry, opts Opts) gin.HandlerFunc {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(c *gin.Context) {
		w := follow(rec, c)
		defer w.end(c)
		c.Next()
		w.returned()
	}
}

// Handler returns the page of the registry. It is not recorded by a middleware
// around it.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) gin.HandlerFunc {
	return gin.WrapH(httpmetrics.Handler(reg, opts))
}

// Install puts the middleware and the page, for GET and HEAD, on engine. Call
// it before routes and groups are made: gin would leave those out without a
// word. So it panics if there is a route already (an earlier group it cannot
// see). It also panics if opts clash with what is registered.
func Install(engine *gin.Engine, reg *shoal.Registry, opts Opts) {
	if routes := engine.Routes(); len(routes) > 0 {
		panic(fmt.Sprintf("shoalgin: the engine has %d routes already, such as %s %s, which gin would serve without the middleware: call Install before adding routes",
			len(routes), routes[0].Method, routes[0].Path))
	}
	engine.Use(Middleware(reg, opts))
	page := Handler(reg, opts.Page)
	engine.GET(opts.PagePath(), page)
	engine.HEAD(opts.PagePath(), page)
}

// Run serves engine on addr until ctx is done, then drains the requests and
// closes the registry, in this order; see [httpmetrics.Serve]. Further servers,
// such as [httpmetrics.PageServer], start and end with it.
func Run(ctx context.Context, engine *gin.Engine, addr string, reg *shoal.Registry, also ...*http.Server) error {
	server := httpmetrics.NewServer(addr, engine.Handler())
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}
