// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"reflect"
	"sync/atomic"
)

// A request may pass several middlewares that would record it: a router that is
// mounted in another, a handler that has the router serve the request again, an
// installation done twice. The outermost one records; those further in find its
// exchange below their ResponseWriter and enter it.

// follower is a ResponseWriter of an adapter that tells an Exchange what is sent.
type follower interface{ HTTPExchange() *Exchange }

// exchangeOf returns the exchange that w tells what is sent through it, nil for none.
func exchangeOf(w http.ResponseWriter) *Exchange {
	switch w := w.(type) {
	case interface{ exchange() *Exchange }: // made by Wrap
		return w.exchange()
	case follower:
		return w.HTTPExchange()
	}
	return nil
}

// enter looks for the exchange that a middleware further out began for the answer
// that goes to w, and enters it. If there is none, it returns the last writer to
// which w leads, and whether that can flush.
func (rec *Recorder) enter(w http.ResponseWriter, r *http.Request, routeOf func(*http.Request) string) (x *Exchange, last http.ResponseWriter, flushes bool) {
	for {
		if known := serversOwn.Load(); known != nil && *known == reflect.TypeOf(w) {
			return nil, w, true
		}
		next, ok := w.(unwrapper)
		if !ok {
			break
		}
		if x := exchangeOf(w); x != nil && x.Feeds(rec) {
			x.Nest(rec, r, routeOf)
			return x, nil, false
		}
		w = next.Unwrap()
	}
	if _, flushes = w.(http.Flusher); !flushes { // as that of an http.TimeoutHandler
		return rec.enterApart(w, r, routeOf), w, false
	}
	if serversOwn.Load() == nil {
		t := reflect.TypeOf(w)
		serversOwn.Store(&t)
	}
	return nil, w, true
}

// serversOwn is the type of the first ResponseWriter that led to no other and could
// flush, such as net/http's. Most requests of a process have one of the same type,
// and comparing types takes less time than asking for two interfaces.
var serversOwn atomic.Pointer[reflect.Type]

// enterApart is enter for a handler to which an http.TimeoutHandler gave a goroutine of
// its own, which may outlast the exchange further out. The handler gets an exchange that
// records nothing and only tells the outer one the route. Writers further out belong to
// the other goroutine, so it does not look at them.
func (rec *Recorder) enterApart(w http.ResponseWriter, r *http.Request, routeOf func(*http.Request) string) *Exchange {
	outer := exchangeOf(belowTimeoutHandler(w))
	if outer == nil || outer.rec.feeds != rec.feeds {
		return nil
	}
	x := &Exchange{rec: rec, request: r, ctx: r.Context(), recorded: true, ended: true}
	x.Nest(rec, r, routeOf)
	x.hint.Load().outer = outer
	return x
}

// Feeds says whether x is under way and is recorded in the metrics of rec: the
// counters of requests have the same registry, name and constant labels.
func (x *Exchange) Feeds(rec *Recorder) bool {
	return x.rec != nil && !x.ended && x.rec.feeds == rec.feeds
}

// hint is the route that something further in knows: a middleware, or who called SetRoute.
type hint struct {
	depth   int16     // of that middleware while the request is in it, then 0
	told    bool      // by SetRoute, and so no other counts
	rec     *Recorder // of that middleware, nil once its route is known
	request *http.Request
	routeOf func(*http.Request) string
	route   string
	outer   *Exchange // to be told the route; nil if the hint is its own
}

// Nest says that r has come to a middleware further in, whose recorder is rec. Until End is
// called for that one, Returned does nothing, and a route, by Opts.Route, routeOf or
// SetRoute, counts only if the outermost middleware knows none.
func (x *Exchange) Nest(rec *Recorder, r *http.Request, routeOf func(*http.Request) string) {
	x.depth++
	if h := x.hint.Load(); h == nil || h.resolve() == "" {
		x.hint.Store(&hint{depth: x.depth, rec: rec, request: r, routeOf: routeOf})
	}
}

// setNested is SetRoute of a middleware further in.
func (x *Exchange) setNested(route string) {
	h := x.hint.Load()
	if h.depth != x.depth {
		return // the hint is that of another middleware, which knows a route
	}
	h.route = route
	if h.outer != nil && route != "" && route != Unmatched {
		h.outer.hint.CompareAndSwap(nil, &hint{route: route})
	}
}

// unnest asks for the route and keeps it, since chi gives its routing context to another
// request as soon as the router has returned. For the same reason it does not ask after
// an http.TimeoutHandler gave up.
func (x *Exchange) unnest() {
	if h := x.hint.Load(); h.depth == x.depth {
		if h.outer == nil || x.ctx.Err() == nil {
			x.setNested(h.resolve())
		}
		h.depth, h.rec, h.routeOf = 0, nil, nil
	}
	x.depth--
}

// resolve gives the route, empty if none is known.
func (h *hint) resolve() string {
	route := ""
	if h.rec != nil {
		route = h.rec.Route(h.request)
	}
	if route == "" {
		route = h.route
	}
	if route == "" && h.routeOf != nil {
		route = h.routeOf(h.request)
	}
	if route == Unmatched {
		return ""
	}
	return route
}
