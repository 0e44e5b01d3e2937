// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import "net/http"

// A request may pass several middlewares that would record it: a router that is
// mounted in another, a handler that has the router serve the request again, an
// installation done twice. The outermost one records; those further in find its
// exchange on the ResponseWriter and enter it.

// HTTPExchange is how a middleware further in finds the exchange of a response,
// below what wraps it.
func (x *Exchange) HTTPExchange() *Exchange { return x }

// follower is a ResponseWriter whose answer an exchange follows.
type follower interface{ HTTPExchange() *Exchange }

// Outer returns the exchange that a middleware further out began for the answer
// that goes to w, if it feeds the same metrics, and nil otherwise. It does not
// see past a writer without Unwrap.
func (rec *Recorder) Outer(w http.ResponseWriter) *Exchange {
	for {
		next, ok := w.(unwrapper)
		if !ok {
			return nil // most often here: the server's own writer
		}
		if f, ok := w.(follower); ok {
			if x := f.HTTPExchange(); x.Feeds(rec) {
				return x
			}
		}
		w = next.Unwrap()
	}
}

// Feeds says whether x is under way and is recorded in the metrics of rec: the
// counters of requests have the same registry, name and constant labels.
func (x *Exchange) Feeds(rec *Recorder) bool { return !x.ended && x.rec.feeds == rec.feeds }

// hint is the route that a middleware further in knows.
type hint struct {
	depth   int16 // of the middleware whose hint it is
	request *http.Request
	routeOf func(*http.Request) string
	route   string
}

// Nest says that a middleware further in has r. From now on, until its End, what
// it tells x is about that part: its Returned is not the outermost handler's, and
// its route, by routeOf or SetRoute, counts only if the outermost knows none.
func (x *Exchange) Nest(r *http.Request, routeOf func(*http.Request) string) {
	x.depth++
	if x.hint == nil || x.hint.resolve() == "" {
		x.hint = &hint{depth: x.depth, request: r, routeOf: routeOf}
	}
}

// unnest keeps the route while it can be told: chi gives its routing context to
// another request as soon as the router has returned.
func (x *Exchange) unnest() {
	if h := x.hint; h.depth == x.depth {
		h.route = h.resolve()
		h.depth, h.routeOf = 0, nil
	}
	x.depth--
}

// resolve gives the route, empty if none is known.
func (h *hint) resolve() string {
	route := h.route
	if route == "" && h.routeOf != nil {
		route = h.routeOf(h.request)
	}
	if route == Unmatched {
		return ""
	}
	return route
}
