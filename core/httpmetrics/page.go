// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Handler returns the registry's page. A request for it is not recorded by the
// middleware around it, under whatever path it is served. It panics if reg is
// nil.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) http.Handler {
	if reg == nil {
		panic(errNoRegistry)
	}
	page := reg.Handler(opts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		discard(w)
		page.ServeHTTP(w, r)
	})
}

// discard takes the request out of every exchange that follows it, through all writers
// that w leads to.
func discard(w http.ResponseWriter) {
	for {
		if x := exchangeOf(w); x != nil {
			x.DiscardExchange()
		}
		next, ok := w.(unwrapper)
		if !ok {
			return
		}
		w = next.Unwrap()
	}
}

// PageServer returns a server with nothing but the page, under [DefMetricsPath], so
// that the page is not on the public address:
//
//	httpmetrics.Serve(ctx, reg, app, httpmetrics.PageServer(":9091", reg))
func PageServer(addr string, reg *shoal.Registry) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(DefMetricsPath, Handler(reg, shoal.HandlerOpts{}))
	return NewServer(addr, mux)
}

// NewServer returns a server for an address and a handler, with limits for clients
// that send nothing or take nothing: a ReadHeaderTimeout of 10 s, an IdleTimeout of
// 11 min, a WriteByteTimeout of 30 s for HTTP/2, and otherwise net/http's defaults.
// [Serve] gives these to any server that lacks them.
func NewServer(addr string, h http.Handler) *http.Server {
	s := &http.Server{Addr: addr, Handler: h}
	limit(s)
	return s
}
