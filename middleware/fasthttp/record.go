// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"strings"
	"sync/atomic"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/valyala/fasthttp"
)

// record is what the page and middlewares further in find of an Exchange, whatever its
// framework. They may be in another goroutine, which outlasts it: fasthttp.TimeoutHandler
// and fiber's timeout give the handler one.
type record struct {
	outer  *record // of a middleware further out that records in other metrics
	feeds  httpmetrics.Feeds
	flight *shoal.Gauge // counts the request while it is served
	left   atomic.Bool  // the request is recorded, or is not to be
	route  atomic.Pointer[string]
}

// recordKey is the key of the user value that has the *record of the request.
type recordKey struct{}

// find returns the record that is still open in the same metrics, nil for none.
func (r *record) find(feeds httpmetrics.Feeds) *record {
	for ; r != nil; r = r.outer {
		if r.feeds == feeds && !r.left.Load() {
			return r
		}
	}
	return nil
}

// hint tells the route that a middleware further in knows. The first that comes back with
// one is the innermost; it counts, if the outermost knows none.
func (r *record) hint(route string) {
	if route == "" || route == httpmetrics.Unmatched || r.route.Load() != nil {
		return
	}
	route = strings.Clone(route)
	r.route.CompareAndSwap(nil, &route)
}

// leave takes the request out of those in flight. It says false if it had left already.
func (r *record) leave() bool {
	if r.left.Swap(true) {
		return false
	}
	r.flight.Dec()
	return true
}

// discard takes the request out of all metrics, at once: it is for the page itself, which
// would otherwise always show one request in flight.
func discard(ctx *fasthttp.RequestCtx) {
	r, _ := ctx.UserValue(recordKey{}).(*record)
	for ; r != nil; r = r.outer {
		r.leave()
	}
}
