// SPDX-License-Identifier: Apache-2.0

package shoalchi

import (
	"context"
	"net"
	"net/http"

	"github.com/go-chi/chi/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. It belongs on the
// outermost router, as the first: router.Use(shoalchi.Middleware(reg, opts)).
// Around a router, instead of on it, it knows no routes. It panics if reg is nil
// or opts clash with what is registered.
func Middleware(reg *shoal.Registry, opts Opts) func(http.Handler) http.Handler {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rec.Skips(r) {
				next.ServeHTTP(w, r)
				return
			}
			w, x := rec.Wrap(w, r, route)
			defer x.End()
			next.ServeHTTP(w, x.Inside(r))
			x.Returned()
		})
	}
}

// Handler returns the page of the registry. It is not recorded by a middleware
// around it.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) http.Handler {
	return httpmetrics.Handler(reg, opts)
}

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel].
func SetLabel(r *http.Request, name, value string) {
	httpmetrics.SetLabel(r.Context(), name, value)
}

// Install puts the middleware and the page, for GET and HEAD, on router. Call
// it before the routes: chi panics if there is one. It panics if router or reg is
// nil, or if opts clash with what is registered.
//
// The page is no route of the router, since after a route chi takes no further
// middleware, but a middleware that answers by itself. So the order of router.Use
// decides who may read it: middleware that was added before Install, such as an
// authentication, guards the page; middleware that is added after it does not.
// chi calls middleware only if there is any route at all.
func Install(router chi.Router, reg *shoal.Registry, opts Opts) {
	if mux, isMux := router.(*chi.Mux); router == nil || (isMux && mux == nil) {
		panic("shoalchi: Install: the router is nil: give it chi.NewRouter()")
	}
	router.Use(Middleware(reg, opts), page(opts.PagePath(), Handler(reg, opts.Page)))
}

// Run serves handler, which is the router or what wraps it, on addr until ctx
// is done, then drains the requests and closes the registry, in this order; see
// [httpmetrics.Serve]. Further servers, such as [httpmetrics.PageServer], start
// and end with it. For TLS, or other settings of a server, use httpmetrics.Serve.
// It panics if handler, reg or a server is nil.
func Run(ctx context.Context, handler http.Handler, addr string, reg *shoal.Registry, also ...*http.Server) error {
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{newServer(handler, addr)}, also...)...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT. It closes l in any case. See
// [httpmetrics.Graceful] for listeners of further servers.
func RunListener(ctx context.Context, handler http.Handler, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	server := newServer(handler, "")
	own := map[*http.Server]net.Listener{server: l}
	return httpmetrics.Graceful{Listeners: own}.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

func newServer(handler http.Handler, addr string) *http.Server {
	if handler == nil {
		panic("shoalchi: Run: the handler is nil, which net/http takes for http.DefaultServeMux: give it the router")
	}
	return httpmetrics.NewServer(addr, handler)
}

// route returns the joined pattern of all routers that r went through. It is complete
// once the handler is reached; a request that no route matched has none.
func route(r *http.Request) string {
	return chi.RouteContext(r.Context()).RoutePattern()
}

// page answers for the path and leaves all else to the next handler.
func page(path string, page http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if (r.Method == http.MethodGet || r.Method == http.MethodHead) && routePath(r) == path {
				page.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// routePath is the path that the router will look at: in a mounted router, what comes
// after the mount.
func routePath(r *http.Request) string {
	if ctx := chi.RouteContext(r.Context()); ctx != nil && ctx.RoutePath != "" {
		return ctx.RoutePath
	}
	return r.URL.Path
}
