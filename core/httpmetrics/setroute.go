// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import "net/http"

// SetRoute tells the route of the request that w answers, in place of what Opts.Route and
// the middlewares around the caller know. It is for routers that hand their pattern to the
// handler alone, and is called like the methods of w: in the handler's goroutine, before the
// response begins, since a stream is recorded then. The route is the pattern, never a path:
// each distinct one is a series, and those beyond the registry's limit share one that says
// "shoal_overflow". Empty changes nothing.
//
// SetRoute finds the middlewares as [Recorder.Begin] does: not past a writer that has no
// Unwrap, except that of an http.TimeoutHandler directly inside the middleware.
func SetRoute(w http.ResponseWriter, route string) {
	if route == "" {
		return
	}
	h := &hint{told: true, route: route}
	for {
		if x := exchangeOf(w); x != nil {
			x.hint.Store(h)
		}
		next, ok := w.(unwrapper)
		if !ok {
			break
		}
		w = next.Unwrap()
	}
	if x := exchangeOf(belowTimeoutHandler(w)); x != nil {
		x.hint.Store(h)
	}
}
