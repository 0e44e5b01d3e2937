// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Recorder holds the metrics of a server of net/http. Its methods are safe for concurrent
// use, touch only memory and never fail.
type Recorder struct {
	RecorderOf[*http.Request]
}

// NewRecorder registers the metrics of a server. It panics where
// [RegisterRecorder] returns an error.
func NewRecorder(reg *shoal.Registry, opts Opts) *Recorder {
	return must(RegisterRecorder(reg, opts))
}

// RegisterRecorder registers the metrics of a server. It returns an error if a
// name is unusable, or is registered already with another meaning, if an option
// makes no sense, or if reg is nil. The same options once more give a recorder of the
// same metrics.
func RegisterRecorder(reg *shoal.Registry, opts Opts) (*Recorder, error) {
	of, err := RegisterRecorderOf(reg, opts)
	if err != nil {
		return nil, err
	}
	return &Recorder{*of}, nil
}

// RecorderOf holds the metrics of a server that has an R for each request. It takes what is
// to be counted as strings and numbers. Its methods are safe for concurrent use, touch only
// memory and never fail.
type RecorderOf[R any] struct {
	meter
	opts  OptsOf[R] // with defaults
	inner []string  // the names of the labels that are set from inside
}

// NewRecorderOf registers the metrics of a server. It panics where
// [RegisterRecorderOf] returns an error.
func NewRecorderOf[R any](reg *shoal.Registry, opts OptsOf[R]) *RecorderOf[R] {
	return must(RegisterRecorderOf(reg, opts))
}

// RegisterRecorderOf is [RegisterRecorder] for servers that have an R for each request.
func RegisterRecorderOf[R any](reg *shoal.Registry, opts OptsOf[R]) (*RecorderOf[R], error) {
	rec := &RecorderOf[R]{opts: opts.withDefaults()}
	for _, l := range rec.opts.Labels {
		if l.Value == nil {
			rec.inner = append(rec.inner, l.Name)
		}
	}
	var err error
	if rec.meter, err = registerMeter(reg, &rec.opts); err != nil {
		return nil, err
	}
	return rec, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Skips says whether Opts.Skip has the middleware leave r alone. An adapter asks
// before it does anything to r or its ResponseWriter.
func (rec *RecorderOf[R]) Skips(r R) bool {
	return rec.opts.Skip != nil && contained(rec.opts.Skip, r, false)
}

// InFlight returns the gauge that counts r while it is served: an adapter calls Inc when
// the request begins, and Dec on the same gauge when it ends.
func (rec *RecorderOf[R]) InFlight(r R) *shoal.Gauge {
	if rec.inFlightBy == nil {
		return rec.inFlight
	}
	return rec.inFlightBy.WithLabelValues(contained(rec.opts.InFlightLabel.Value, r, "panic"))
}

// Route returns what Opts.Route says of r; empty if there is none.
func (rec *RecorderOf[R]) Route(r R) string {
	if rec.opts.Route == nil {
		return ""
	}
	return contained(rec.opts.Route, r, "")
}

// Streams says whether a response with this Content-Type is a stream, by its media type or
// by Opts.Stream.
func (rec *RecorderOf[R]) Streams(r R, contentType string) bool {
	if isStreamType(contentType) {
		return true
	}
	stream := rec.opts.Stream
	return stream != nil && contained(func(r R) bool { return stream(r, contentType) }, r, false)
}

// LabelValues returns the values of Opts.Labels for r, in their order. Inner has those that
// are set from inside; it may be nil.
func (rec *RecorderOf[R]) LabelValues(r R, inner *InnerLabels) []string {
	if len(rec.opts.Labels) == 0 {
		return nil
	}
	values := make([]string, len(rec.opts.Labels))
	for i, l := range rec.opts.Labels {
		if l.Value == nil {
			values[i] = inner.value(l.Name)
			continue
		}
		values[i] = contained(l.Value, r, "panic")
	}
	return values
}

// contained calls a function of the application and returns onPanic if it panics: the
// request that it is called for must not fail by that.
func contained[R, T any](f func(R) T, r R, onPanic T) (value T) {
	defer func() {
		if recover() != nil {
			value = onPanic
		}
	}()
	return f(r)
}
