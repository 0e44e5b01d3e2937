// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/valyala/fasthttp"
)

// Recorder follows the requests of a framework on fasthttp that has an R for each. It is for
// adapters, such as shoalfiber; applications use [Middleware].
type Recorder[R any] struct {
	*httpmetrics.RecorderOf[R]
	routeOf    func(R) string
	asksStream bool // there is an Opts.Stream
}

// NewRecorder registers the metrics of a server. routeOf, if not nil, is asked for the
// route when a request is recorded. It panics if reg is nil or opts clash with what is
// registered.
func NewRecorder[R any](reg *shoal.Registry, opts httpmetrics.OptsOf[R], routeOf func(R) string) *Recorder[R] {
	return &Recorder[R]{httpmetrics.NewRecorderOf(reg, opts), routeOf, opts.Stream != nil}
}

// Exchange follows one request from Begin to End, and decides what is recorded:
//
//	x := rec.Begin(ctx, r)
//	defer x.End()        // records, also when the handler panics
//	next(...)
//	x.Returned()         // not reached by a panic
//
// One request is recorded once, by the outermost middleware: the Exchange of one further
// in only tells the route.
type Exchange[R any] struct {
	rec         *Recorder[R]
	ctx         *fasthttp.RequestCtx
	request     R
	inner       *httpmetrics.InnerLabels // nil for none
	start       time.Duration            // on the process's clock, as now tells it
	requestSize int64
	method      string // as the client sent it: handlers may change the request in place
	returned    bool   // the handler came back, and did not panic
	record      *record
	own         record // what record points to, unless a middleware further out records
}

// Begin starts the clock for a request and counts it as in flight, unless a middleware
// further out does so already in the same metrics. r is what the framework has for it.
func (rec *Recorder[R]) Begin(ctx *fasthttp.RequestCtx, r R) *Exchange[R] {
	outer, _ := ctx.UserValue(recordKey{}).(*record)
	if same := outer.find(rec.Feeds()); same != nil {
		return &Exchange[R]{rec: rec, ctx: ctx, request: r, record: same}
	}
	x := &Exchange[R]{
		rec: rec, ctx: ctx, request: r,
		method: methodOf(ctx.Method()), requestSize: requestSize(&ctx.Request),
	}
	x.own.outer, x.own.feeds, x.own.flight = outer, rec.Feeds(), rec.InFlight(r)
	x.record = &x.own
	ctx.SetUserValue(recordKey{}, x.record)
	if x.inner = rec.InnerLabels(ctx); x.inner != nil {
		ctx.SetUserValue(httpmetrics.InnerLabelsKey{}, x.inner)
	}
	x.start = now()
	x.own.flight.Inc()
	return x
}

// InnerLabels returns the place of the labels that are set from inside, if this Exchange
// has made one, and nil otherwise. The RequestCtx has it already; an adapter whose
// framework has a further context puts it there under [httpmetrics.InnerLabelsKey].
func (x *Exchange[R]) InnerLabels() *httpmetrics.InnerLabels { return x.inner }

// Returned says that the handler came back normally. Without it End takes the request for
// one whose handler panicked.
func (x *Exchange[R]) Returned() { x.returned = true }

// Discard takes the request out of the metrics, if this middleware is the outermost: what
// becomes of it is not known.
func (x *Exchange[R]) Discard() {
	if x.record == &x.own {
		x.own.leave()
	}
}

// End records the request and takes it out of the requests in flight. It must be deferred.
func (x *Exchange[R]) End() {
	if x.record != &x.own {
		x.record.hint(x.route())
		return
	}
	if !x.own.leave() {
		return
	}
	status, size := x.answer()
	route := x.route()
	if route == "" || route == httpmetrics.Unmatched {
		if hint := x.own.route.Load(); hint != nil {
			route = *hint
		}
	}
	x.rec.Record(httpmetrics.Observation{
		Method: x.method, Route: route, Code: status, Duration: now() - x.start,
		RequestSize: x.requestSize, ResponseSize: size,
		Labels: x.rec.LabelValues(x.request, x.inner),
	})
}

func (x *Exchange[R]) route() string {
	if route := x.rec.Route(x.request); route != "" {
		return route
	}
	if x.rec.routeOf == nil {
		return ""
	}
	return x.rec.routeOf(x.request)
}

// loaded is an arbitrary moment that now counts from.
var loaded = time.Now()

// now reads the monotonic clock alone; time.Now reads two clocks.
func now() time.Duration { return time.Since(loaded) }
