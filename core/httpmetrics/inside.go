// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
)

// extras are what an exchange has only if Opts ask for it. They are not in Exchange itself,
// since every request pays for the size of that.
type extras struct {
	inFlight *shoal.Gauge // the child of Opts.InFlightLabel, nil for none

	// Where labels are set from inside, extras are the context that handlers get.
	context.Context
	labels InnerLabels
	came   *http.Request // as it reached the middleware, until giveBack
}

// Value returns the labels for InnerLabelsKey, else what the request's context has.
func (e *extras) Value(key any) any {
	if key == (InnerLabelsKey{}) {
		return &e.labels
	}
	return e.Context.Value(key)
}

// Inside returns the request that an adapter gives to the handlers: r itself, or if
// Opts.Labels have labels that are set from inside, a copy in whose context [SetLabel] finds
// them. Call it once, after Begin or [Recorder.Wrap], with the same request. From then on
// Opts.Route, Opts.Stream, the functions of Opts.Labels and routeOf get the copy. End gives
// back to r what the server, or a handler further out, looks for there: the Pattern, and the
// MultipartForm whose files the server removes.
func (x *Exchange) Inside(r *http.Request) *http.Request {
	if x.depth > 0 || len(x.rec.inner) == 0 { // the outermost middleware has done it
		return r
	}
	if x.extra == nil {
		x.extra = new(extras)
	}
	x.extra.Context, x.extra.came = r.Context(), r
	x.extra.labels.init(r.Context(), x.rec.inner)
	x.request = r.WithContext(x.extra)
	return x.request
}

func (x *Exchange) giveBack() {
	if x.extra == nil || x.extra.came == nil {
		return
	}
	x.extra.came.Pattern, x.extra.came.MultipartForm = x.request.Pattern, x.request.MultipartForm
	x.extra.came = nil
}
