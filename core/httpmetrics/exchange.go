// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// StatusClientGone is recorded for a client that went away before anything was
// sent. It is nginx's number; nobody ever receives it.
const StatusClientGone = 499

// Exchange follows one request of a net/http server, from Begin to End, and
// decides what is recorded. An adapter calls
//
//	rec.Begin(&x, r, nil)
//	defer x.End()        // records, also when the handler panics
//	next(...)            // meanwhile: SentHeader, SentBody, Hijacked
//	x.Returned()         // not reached by a panic
//
// or has [Recorder.Wrap] do the middle part. An Exchange belongs to the
// goroutine of the handler, as the ResponseWriter does.
type Exchange struct {
	rec     *Recorder
	request *http.Request
	ctx     context.Context // of the request as it came: handlers may replace it, and end theirs
	routeOf func(*http.Request) string
	route   string
	start   time.Duration // on the process's clock, as now tells it
	sent    int64         // bytes of the body
	status  int32         // the first final one, 0 until it is sent

	header   bool // the handler of a responseWriter asked for the header
	returned bool // the handler came back, and did not panic
	recorded bool
	flight   uint8 // the bits below
}

const (
	inFlight = 1 << iota
	awaited  // by the drainGroup of its server
)

// Begin starts the clock for r in x, which must be the zero Exchange, and counts
// r as in flight. routeOf, if not nil, is asked for the route when r is recorded,
// which is when routers that are called later know it; otherwise it is what
// SetRoute says.
func (rec *Recorder) Begin(x *Exchange, r *http.Request, routeOf func(*http.Request) string) {
	// Field by field: x is zero already, and lives on the heap.
	x.rec, x.request, x.ctx, x.routeOf = rec, r, r.Context(), routeOf
	x.start = now()
	x.flight = inFlight
	if r.ProtoMajor == 2 && r.TLS == nil {
		if g := drainGroupOf(x.ctx); g != nil && g.begin() {
			x.flight |= awaited
		}
	}
	rec.Started()
}

// SetRoute tells the pattern of the router. Empty is [Unmatched].
func (x *Exchange) SetRoute(pattern string) { x.route = pattern }

// SentHeader says that a status was sent, with these headers. All but the
// first final one are ignored.
func (x *Exchange) SentHeader(status int, h http.Header) {
	if x.status != 0 || (status < 200 && status != http.StatusSwitchingProtocols) {
		return
	}
	x.status = int32(status)
	if status == http.StatusSwitchingProtocols || x.streams(h) {
		x.record(-1)
	}
}

// SentBody says that n further bytes of the body were sent. Of an answer to
// HEAD they never leave the server, and are not counted.
func (x *Exchange) SentBody(n int64) { x.sent += n }

// Hijacked says that the handler took over the connection.
func (x *Exchange) Hijacked() {
	x.SentHeader(http.StatusSwitchingProtocols, nil)
}

// Status returns the status that was sent, 0 if none was.
func (x *Exchange) Status() int { return int(x.status) }

// Returned says that the handler came back normally. Without it End takes the
// request for one whose handler panicked. A status that is not sent yet but
// will be, by code that runs after the middleware, is told by SentHeader
// before.
func (x *Exchange) Returned() { x.returned = true }

// SettleGone settles on [StatusClientGone], or 503, if nothing was sent and
// the client is gone or the deadline passed. An adapter calls it before it has
// the handler's error turned into an answer that nobody will see.
func (x *Exchange) SettleGone() {
	if x.status != 0 {
		return
	}
	switch err := x.ctx.Err(); {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		x.status = http.StatusServiceUnavailable
	default:
		x.status = StatusClientGone
	}
}

// DiscardExchange takes the request out of all metrics, at once: it is for the
// page itself, which would otherwise always show one request in flight.
func (x *Exchange) DiscardExchange() {
	x.recorded = true
	x.leave()
}

// End records the request, unless it was a stream that is recorded already,
// and takes it out of the requests in flight. It must be deferred itself, or
// be called by a deferred function. Calling it again does nothing.
func (x *Exchange) End() {
	if x.flight&awaited != 0 {
		x.flight &^= awaited
		defer drainGroupOf(x.ctx).end() // when it is recorded
	}
	x.leave()
	if x.recorded {
		return
	}
	if x.status == 0 && !x.returned {
		x.status = http.StatusInternalServerError
	}
	x.SettleGone()
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if x.request.Method == http.MethodHead {
		x.sent = 0
	}
	x.record(x.sent)
}

func (x *Exchange) leave() {
	if x.flight&inFlight != 0 {
		x.flight &^= inFlight
		x.rec.Ended()
	}
}

func (x *Exchange) record(responseSize int64) {
	if x.recorded {
		return
	}
	x.recorded = true
	elapsed := now() - x.start
	route := x.route
	if x.routeOf != nil {
		route = x.routeOf(x.request)
	}
	h := x.rec.handlesOf(x.request.Method, route, int(x.status), x.rec.labelValues(x.request))
	h.observe(elapsed, x.request.ContentLength, responseSize)
}

// loaded is an arbitrary moment that now counts from.
var loaded = time.Now()

// now reads the monotonic clock alone; time.Now reads two clocks, and a request
// would pay for that twice.
func now() time.Duration { return time.Since(loaded) }
