// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Exchange follows one request of a net/http server, from Begin to End, and
// decides what is recorded. An adapter calls
//
//	x := rec.Begin(new(Exchange), w, r, nil)
//	defer x.End()        // records, also when the handler panics
//	next(x.Inside(r))    // meanwhile: SentHeader, SentBody, Hijacked
//	x.Returned()         // not reached by a panic
//
// or has [Recorder.Wrap] do the middle part. An Exchange belongs to the
// goroutine of the handler, as the ResponseWriter does.
//
// One request is recorded once, by the outermost middleware: those further in enter
// the Exchange of that one.
type Exchange struct {
	rec     *Recorder
	request *http.Request   // as the handlers inside get it
	ctx     context.Context // of the request as it came: handlers may replace the request, and end its context
	routeOf func(*http.Request) string
	route   string
	hint    atomic.Pointer[hint] // the route that something further in knows, nil for none
	extra   *extras              // nil if Opts ask for none
	start   time.Duration        // on the process's clock, as now tells it
	sent    int64                // bytes of the body
	status  int32                // the first final one, 0 until it is sent
	depth   int16                // how many middlewares further in have entered and not left
	method  uint8                // as the client sent it: handlers may change the request in place

	flushes  bool // the server's writer can flush
	kept     bool // an http.TimeoutHandler keeps the answer until the handler returns
	gone     bool // the client left before it had an answer
	refused  bool // http.TimeoutHandler refused what was written
	header   bool // the handler of a responseWriter asked for the header
	returned bool // the handler came back, and did not panic
	recorded bool
	ended    bool
	awaited  bool // the drainGroup of its server waits for it
}

// Begin starts the clock for r in x, which must be the zero Exchange, counts r as in
// flight, and returns x. w is where the answer goes. routeOf, if not nil, is asked
// for the route when r is recorded, unless SetRoute has told it by then; that is
// when routers that are called later know it.
//
// If a middleware further out follows r already, in the same metrics, Begin leaves x
// alone, enters the exchange of that middleware, as [Exchange.Nest] does, and returns
// it. It does not see past a writer that wraps another and has no Unwrap, except that
// of an http.TimeoutHandler directly inside that middleware.
func (rec *Recorder) Begin(x *Exchange, w http.ResponseWriter, r *http.Request, routeOf func(*http.Request) string) *Exchange {
	outer, last, flushes := rec.enter(w, r, routeOf)
	if outer != nil {
		return outer
	}
	x.begin(rec, last, flushes, r, routeOf)
	return x
}

// begin is Begin of the outermost middleware. last is the innermost writer below
// that of the request; flushes says whether it can flush.
func (x *Exchange) begin(rec *Recorder, last http.ResponseWriter, flushes bool, r *http.Request, routeOf func(*http.Request) string) {
	// Field by field: x is zero already, and lives on the heap.
	x.rec, x.request, x.ctx, x.routeOf = rec, r, r.Context(), routeOf
	x.method = rec.methods.number(r.Method)
	x.flushes = flushes
	if !flushes {
		x.noteTimeoutHandler(last)
	}
	x.start = now()
	if r.ProtoMajor == 2 && r.TLS == nil {
		if g := drainGroupOf(x.ctx); g != nil {
			x.awaited = g.begin()
		}
	}
	if rec.inFlightBy != nil {
		x.extra = &extras{inFlight: rec.InFlight(r)}
	}
	x.inFlight().Inc()
}

func (x *Exchange) inFlight() *shoal.Gauge {
	if x.extra != nil && x.extra.inFlight != nil {
		return x.extra.inFlight
	}
	return x.rec.inFlight
}

// SetRoute tells the pattern of the router. Empty is [Unmatched]. What a
// middleware further in tells counts only if the outermost knows no route. [SetRoute]
// and Opts.Route come before either.
func (x *Exchange) SetRoute(pattern string) {
	if x.depth > 0 {
		x.setNested(pattern)
		return
	}
	x.route = pattern
}

// SentHeader says that a status was sent, with these headers. All but the
// first final one are ignored. A 5xx that was sent after the client left is
// [StatusClientGone]. A status that is not sent yet but will be, by code that
// runs after the middleware, is told as well.
func (x *Exchange) SentHeader(status int, h http.Header) {
	if x.status != 0 || (status < 200 && status != http.StatusSwitchingProtocols) {
		return
	}
	if status >= 500 && clientLeft(x.ctx, false) {
		status, x.gone = StatusClientGone, true
	}
	x.status = int32(status)
	if x.beginsStream(status, h) {
		x.record(-1)
	}
}

// beginsStream says whether an answer may last for hours: an upgraded connection, the
// tunnel of a CONNECT, a stream. Behind an http.TimeoutHandler none does, since that
// keeps the answer until the handler returns.
func (x *Exchange) beginsStream(status int, h http.Header) bool {
	return !x.kept && (status == http.StatusSwitchingProtocols || x.streams(h) ||
		status < 300 && x.method == methodConnect)
}

// SentBody says that n further bytes of the body were sent. Of an answer to
// HEAD they never leave the server, and are not counted.
func (x *Exchange) SentBody(n int64) { x.sent += n }

// Wrote is SentBody with the error of the Write, which tells if an http.TimeoutHandler
// has already answered.
func (x *Exchange) Wrote(n int64, err error) {
	x.sent += n
	if err != nil && isTimeout(err) {
		x.refused = true
	}
}

// Hijacked says that the handler took over the connection.
func (x *Exchange) Hijacked() {
	x.SentHeader(http.StatusSwitchingProtocols, nil)
}

// Status returns the status that was sent, 0 if none was.
func (x *Exchange) Status() int { return int(x.status) }

// Sent returns how many bytes of the body were sent.
func (x *Exchange) Sent() int64 { return x.sent }

// Returned says that the handler came back normally. Without it End takes the
// request for one whose handler panicked.
func (x *Exchange) Returned() {
	if x.depth == 0 {
		x.returned = true
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
// be called by a deferred function. Each Begin and each Nest needs one End;
// further ones do nothing.
func (x *Exchange) End() {
	if x.depth > 0 {
		x.unnest()
		return
	}
	if x.awaited {
		x.awaited = false
		x.finish()
		drainGroupOf(x.ctx).end()
		return
	}
	x.finish()
}

func (x *Exchange) finish() {
	x.leave()
	x.giveBack()
	if x.recorded {
		return
	}
	x.decideStatus()
	if x.method == methodHead || x.gone {
		x.sent = 0 // nobody got a body
	}
	x.record(x.sent)
}

func (x *Exchange) leave() {
	if !x.ended {
		x.ended = true
		x.inFlight().Dec()
	}
}

// decideStatus decides the status of a request whose handler has ended.
func (x *Exchange) decideStatus() {
	if x.status != 0 && !x.kept && !x.refused {
		return // as it was sent, whatever became of the context
	}
	ended := x.ctx.Err()
	switch {
	case x.refused || x.kept && ended != nil:
		x.status, x.sent = http.StatusServiceUnavailable, 0
	case x.status != 0:
		return
	case !x.returned:
		x.status = http.StatusInternalServerError
		return
	case errors.Is(ended, context.DeadlineExceeded) && !x.flushes:
		// net/http would send 200 by itself; what this server sends is not known.
		x.status = http.StatusServiceUnavailable
	default:
		x.status = http.StatusOK
	}
	if clientLeft(x.ctx, true) {
		x.status, x.gone = StatusClientGone, true
	}
}

func (x *Exchange) record(responseSize int64) {
	if x.recorded {
		return
	}
	x.recorded = true
	elapsed := now() - x.start
	h := x.rec.handlesOf(x.method, x.findRoute(), int(x.status), x.labelValues())
	h.observe(elapsed, x.request.ContentLength, responseSize)
}

func (x *Exchange) labelValues() []string {
	if x.extra == nil {
		return x.rec.LabelValues(x.request, nil)
	}
	return x.rec.LabelValues(x.request, &x.extra.labels)
}

// findRoute asks all that may know the route: what the application says comes first, then
// what the router of this middleware knows, then what middlewares further in know.
func (x *Exchange) findRoute() string {
	h := x.hint.Load()
	if h != nil && h.told {
		return h.route
	}
	if route := x.rec.Route(x.request); route != "" {
		return route
	}
	route := x.route
	if route == "" && x.routeOf != nil {
		route = x.routeOf(x.request)
	}
	if h != nil && (route == "" || route == Unmatched) {
		return h.resolve()
	}
	return route
}

// loaded is an arbitrary moment that now counts from.
var loaded = time.Now()

// now reads the monotonic clock alone; time.Now reads two clocks, and a request
// would pay for that twice.
func now() time.Duration { return time.Since(loaded) }
