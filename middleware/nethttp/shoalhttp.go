// SPDX-License-Identifier: Apache-2.0

package shoalhttp

import (
	"context"
	"fmt"
	"net"
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Opts are the options of the middleware. The zero value is ready to use.
type Opts = httpmetrics.Opts

// Middleware records the requests that pass through it. It panics if reg is nil
// or opts clash with what is registered.
//
// Where the handler it wraps is a *http.ServeMux, every route is known. Around
// anything else it relies on r.Pattern, which is lost when a handler in between
// replaces the request (r.WithContext); the route is then "unmatched". Use
// [Install] for that. Around another router, Opts.Route or [SetRoute] tells the route.
func Middleware(reg *shoal.Registry, opts Opts) func(http.Handler) http.Handler {
	rec := httpmetrics.NewRecorder(reg, opts)
	return func(next http.Handler) http.Handler {
		mux, isMux := next.(*http.ServeMux)
		if isMux && mux == nil {
			next = nil
		}
		return record(rec, mux, next)
	}
}

// Handler returns the page of the registry. It is not recorded by a middleware
// around it.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) http.Handler {
	return httpmetrics.Handler(reg, opts)
}

// Install puts the page on mux, for GET and HEAD, and returns the handler to
// serve: the middleware around mux. Handlers between the two are given as between,
// the outermost first; all their requests are recorded. The route is the pattern
// that mux chose, whatever they did to the request, unless they dropped its context.
// If one of them answers by itself, the route is that of mux for the request as that
// handler got it, so handlers that change the path come first. Each gets a copy of
// the request.
//
// Routes may be added to mux before and after. The page is a route of mux: what
// is between, or around the handler that Install returns, guards it as it does
// the other routes.
//
// It panics if mux, reg or one of between is nil or returns nil, if opts clash with what is
// registered, or if mux has a route for the page already.
func Install(mux *http.ServeMux, reg *shoal.Registry, opts Opts, between ...func(http.Handler) http.Handler) http.Handler {
	if mux == nil {
		panic("shoalhttp: Install: the mux is nil: give it http.NewServeMux(), or http.DefaultServeMux")
	}
	for i, wrap := range between {
		if wrap == nil {
			panic(fmt.Sprintf("shoalhttp: Install: between[%d] is nil: leave it out", i))
		}
	}
	rec := httpmetrics.NewRecorder(reg, opts)
	mux.Handle(http.MethodGet+" "+opts.PagePath(), Handler(reg, opts.Page))
	if len(between) == 0 {
		return record(rec, mux, mux)
	}
	next := noting(mux)
	for i := len(between) - 1; i >= 0; i-- {
		if next = between[i](next); next == nil {
			panic(fmt.Sprintf("shoalhttp: Install: between[%d] returned nil: give it a handler that calls the next one", i))
		}
		if i > 0 {
			next = noting(next)
		}
	}
	return recordAcross(rec, mux, next)
}

// SetLabel gives a value to a label of Opts.Labels that has no Value, for this request; see
// [httpmetrics.SetLabel].
func SetLabel(r *http.Request, name, value string) {
	httpmetrics.SetLabel(r.Context(), name, value)
}

// SetRoute tells the route of the request that w answers, where neither the middleware nor
// Opts.Route can know it; see [httpmetrics.SetRoute].
func SetRoute(w http.ResponseWriter, route string) { httpmetrics.SetRoute(w, route) }

// Run serves until ctx is done, then drains the requests and closes the
// registry, in this order; see [httpmetrics.Serve], also for the timeouts that server
// gets where it has none. Further servers, such as [httpmetrics.PageServer], start
// and end with it.
func Run(ctx context.Context, server *http.Server, reg *shoal.Registry, also ...*http.Server) error {
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT. It closes l in any case. See
// [httpmetrics.Graceful] for TLS, and for listeners of further servers.
func RunListener(ctx context.Context, server *http.Server, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	own := map[*http.Server]net.Listener{server: l}
	return httpmetrics.Graceful{Listeners: own}.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

// record is the middleware around a mux, or around a handler about which nothing is
// known: then mux is nil. The mux leaves its pattern on the request itself.
func record(rec *httpmetrics.Recorder, mux *http.ServeMux, next http.Handler) http.Handler {
	if next == nil {
		panic("shoalhttp: the handler that the middleware is put around is nil")
	}
	route := func(r *http.Request) string {
		if r.Pattern == "" && mux != nil {
			return routeIn(mux, routedOf(r))
		}
		return patternOf(r)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec.Skips(r) {
			next.ServeHTTP(w, r)
			return
		}
		came := routedOf(r)
		w, x := rec.Wrap(w, r, route)
		inner := x.Inside(r)
		if mux != nil && r.Method == http.MethodConnect {
			x.SetRoute(routeIn(mux, came)) // only mux can tell its pattern from a path
		}
		defer func() {
			if mux != nil && inner.Pattern == "" {
				// mux has no pattern, or called another mux with a request that has none.
				x.SetRoute(routeIn(mux, came))
			}
			x.End()
		}()
		next.ServeHTTP(w, inner)
		x.Returned()
	})
}

// recordAcross is the middleware around handlers that lead to mux, with a noting before
// each handler and before mux. They may call mux with another request than they got, so
// they get a copy whose context has the visit: an allocation that record does not need.
func recordAcross(rec *httpmetrics.Recorder, mux *http.ServeMux, next http.Handler) http.Handler {
	route := func(r *http.Request) string {
		if v := visitOf(r); v != nil {
			return routeIn(mux, v.last())
		}
		return ""
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec.Skips(r) {
			next.ServeHTTP(w, r)
			return
		}
		v := &visit{Context: r.Context()}
		v.note(r, false)
		inner := r.WithContext(v)
		w, x := rec.Wrap(w, inner, route)
		defer func() {
			x.End()
			// For a handler further out, and for the server, which removes the form's files.
			r.Pattern, r.MultipartForm = inner.Pattern, inner.MultipartForm
		}()
		next.ServeHTTP(w, x.Inside(inner))
		x.Returned()
	})
}
