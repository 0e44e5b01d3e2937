// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. gin gives it only to
// routes and groups that are made after engine.Use. It may sit inside or
// outside of gin.Recovery. It panics if reg is nil or opts clash with what is
// registered.
func Middleware(reg *shoal.Registry, opts Opts) gin.HandlerFunc {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(c *gin.Context) {
		if rec.Skips(c.Request) {
			return // gin goes on with the next handler
		}
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

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel].
func SetLabel(c *gin.Context, name, value string) {
	if c.Request == nil { // as gin.CreateTestContext leaves it
		return
	}
	httpmetrics.SetLabel(c.Request.Context(), name, value)
}

// Install puts the middleware and the page, for GET and HEAD, on engine. Call
// it before routes and groups are made: gin would silently not give them the
// middleware. So it panics if there is a route already (an earlier group it cannot
// see). It also panics if engine or reg is nil, or if opts clash with what is
// registered.
//
// gin gives a route only the middleware that engine.Use has had before, and the
// page is a route. So an authentication that is added after Install does not
// guard the page. To record what it refuses as well, use [Middleware], then the
// authentication, then [Handler] as a route.
func Install(engine *gin.Engine, reg *shoal.Registry, opts Opts) {
	mustHave(engine)
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
// such as [httpmetrics.PageServer], start and end with it. For TLS, or other
// settings of a server, use httpmetrics.Serve.
//
// With engine.UseH2C it also serves HTTP/2 without TLS to clients that begin with it. It
// uses net/http for that (http.Server.Protocols), since gin's engine.Handler() hijacks
// the connections, so that the server cannot drain them. A client that asks with
// Upgrade: h2c is served over HTTP/1.
//
// It panics if engine, reg or a server is nil.
func Run(ctx context.Context, engine *gin.Engine, addr string, reg *shoal.Registry, also ...*http.Server) error {
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{newServer(engine, addr)}, also...)...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT. It closes l in any case. See
// [httpmetrics.Graceful] for listeners of further servers.
func RunListener(ctx context.Context, engine *gin.Engine, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	server := newServer(engine, "")
	own := map[*http.Server]net.Listener{server: l}
	return httpmetrics.Graceful{Listeners: own}.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

func newServer(engine *gin.Engine, addr string) *http.Server {
	mustHave(engine)
	server := httpmetrics.NewServer(addr, engine)
	if engine.UseH2C {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	return server
}

func mustHave(engine *gin.Engine) {
	if engine == nil {
		panic("shoalgin: the engine is nil: give it gin.New() or gin.Default()")
	}
}
