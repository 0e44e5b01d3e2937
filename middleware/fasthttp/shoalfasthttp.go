// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"context"
	"net"
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/valyala/fasthttp"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.OptsOf[*fasthttp.RequestCtx]

// Label is a label of Opts.Labels.
type Label = httpmetrics.LabelOf[*fasthttp.RequestCtx]

// Middleware records the requests that pass through it. It belongs outermost, around what
// compresses and what times out. It panics if reg or the handler is nil, or if opts clash
// with what is registered.
func Middleware(reg *shoal.Registry, opts Opts) func(fasthttp.RequestHandler) fasthttp.RequestHandler {
	rec := NewRecorder(reg, opts, nil)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		if next == nil {
			panic("shoalfasthttp: the handler that the middleware is put around is nil")
		}
		return func(ctx *fasthttp.RequestCtx) {
			if rec.Skips(ctx) {
				next(ctx)
				return
			}
			x := rec.Begin(ctx, ctx)
			defer x.End()
			next(ctx)
			x.Returned()
		}
	}
}

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel].
func SetLabel(ctx *fasthttp.RequestCtx, name, value string) {
	httpmetrics.SetLabel(ctx, name, value)
}

// Install returns a handler that records the requests for next, and serves the page under
// Opts.MetricsPath. It panics as Middleware does.
func Install(next fasthttp.RequestHandler, reg *shoal.Registry, opts Opts) fasthttp.RequestHandler {
	recorded, page, path := Middleware(reg, opts)(next), Handler(reg, opts.Page), opts.PagePath()
	return func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == path {
			page(ctx)
			return
		}
		recorded(ctx)
	}
}

// Run serves server on addr until ctx is done, then drains the requests and closes the
// registry, in this order; see [Serve]. Further servers, such as
// [httpmetrics.PageServer], start and end with it. It panics if server or reg is nil.
func Run(ctx context.Context, server *fasthttp.Server, addr string, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(server)
	return Serve(ctx, reg, server, other(server, addr, nil), also...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT, one of tls.NewListener. It closes l in any case.
func RunListener(ctx context.Context, server *fasthttp.Server, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(server)
	MustListen(l)
	return Serve(ctx, reg, server, other(server, "", l), also...)
}

func other(server *fasthttp.Server, addr string, l net.Listener) httpmetrics.Other {
	return httpmetrics.Other{Addr: addr, Listener: l, Serve: server.Serve, Shutdown: server.ShutdownWithContext}
}

func mustHave(server *fasthttp.Server) {
	if server == nil {
		panic("shoalfasthttp: the server is nil: give it &fasthttp.Server{Handler: handler}")
	}
}
