// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Recorder holds the metrics of a server and takes what is to be counted as
// strings and numbers. Its methods are safe for concurrent use, touch only
// memory and never fail.
type Recorder struct {
	opts  Opts // with defaults
	feeds feeds

	requests     *shoal.CounterVec
	duration     *shoal.HistogramVec // nil for none, as those below
	summary      *shoal.SummaryVec
	requestSize  *shoal.HistogramVec
	responseSize *shoal.HistogramVec
	inFlight     *shoal.Gauge

	methods methods
	cache   *cache
}

// feeds identifies the metrics that a recorder feeds.
type feeds struct {
	reg      *shoal.Registry
	requests string // the counter's name and constant labels
}

// Observation is one request that has an answer.
type Observation struct {
	// Method is the method as it was sent.
	Method string
	// Route is the pattern of the router, never a path: each distinct one is a
	// series. Empty is [Unmatched].
	Route string
	// Code is the status.
	Code int
	// Duration is the time that the answer took.
	Duration time.Duration
	// RequestSize and ResponseSize are the lengths of the bodies in bytes.
	// Negative is unknown, and not observed.
	RequestSize, ResponseSize int64
	// Labels are the values of Opts.Labels, in their order. A missing one is
	// empty.
	Labels []string
}

// NewRecorder registers the metrics of a server. It panics where
// [RegisterRecorder] returns an error.
func NewRecorder(reg *shoal.Registry, opts Opts) *Recorder {
	rec, err := RegisterRecorder(reg, opts)
	if err != nil {
		panic(err)
	}
	return rec
}

// RegisterRecorder registers the metrics of a server. It returns an error if a
// name is unusable, or is registered already with another meaning, if an option
// makes no sense, or if reg is nil. The same options once more give a recorder of the
// same metrics.
func RegisterRecorder(reg *shoal.Registry, opts Opts) (*Recorder, error) {
	if reg == nil {
		return nil, errNoRegistry
	}
	opts = opts.withDefaults()
	for _, l := range opts.Labels {
		if l.Value == nil {
			return nil, fmt.Errorf("httpmetrics: the label %q has no Value: set a function", l.Name)
		}
	}
	if opts.Duration < Histogram || opts.Duration > HistogramAndSummary {
		return nil, fmt.Errorf("httpmetrics: Duration is %d: use Histogram, Summary or HistogramAndSummary", opts.Duration)
	}
	methods, err := newMethods(opts)
	if err != nil {
		return nil, err
	}
	rec := &Recorder{opts: opts, methods: methods, cache: new(cache), feeds: feeds{
		reg, fmt.Sprintf("%s_%s%q", opts.Namespace, opts.Names.Requests, opts.ConstLabels),
	}}
	if err := rec.register(reg); err != nil {
		return nil, err
	}
	return rec, nil
}

// errNoRegistry says what to do about a nil registry.
var errNoRegistry = errors.New("httpmetrics: the registry is nil: give it shoal.Default(), or one of shoal.New()")

func (rec *Recorder) register(reg *shoal.Registry) error {
	o, labels := &rec.opts, rec.opts.labelNames()
	histogram := func(name, help string, buckets []float64) (*shoal.HistogramVec, error) {
		return reg.RegisterHistogramVec(shoal.HistogramOpts{
			Namespace: o.Namespace, Name: name, Help: help,
			ConstLabels: o.ConstLabels, Buckets: buckets,
		}, labels)
	}
	const durationHelp = "Time taken to answer HTTP requests, in seconds."

	errs := make([]error, 6)
	rec.requests, errs[0] = reg.RegisterCounterVec(shoal.CounterOpts{
		Namespace: o.Namespace, Name: o.Names.Requests,
		Help: "HTTP requests answered.", ConstLabels: o.ConstLabels,
	}, labels)
	rec.inFlight, errs[1] = reg.RegisterGauge(shoal.GaugeOpts{
		Namespace: o.Namespace, Name: o.Names.InFlight,
		Help: "HTTP requests being served.", ConstLabels: o.ConstLabels,
	})
	if o.Duration != Summary {
		rec.duration, errs[2] = histogram(o.Names.Duration, durationHelp, o.Buckets)
	}
	if o.Duration != Histogram {
		name := o.Names.Duration
		if o.Duration == HistogramAndSummary {
			name = o.Names.DurationSummary
		}
		rec.summary, errs[3] = reg.RegisterSummaryVec(shoal.SummaryOpts{
			Namespace: o.Namespace, Name: name, Help: durationHelp, ConstLabels: o.ConstLabels,
		}, labels)
	}
	if o.RequestSize {
		rec.requestSize, errs[4] = histogram(o.Names.RequestSize, "Length of HTTP request bodies, in bytes.", o.SizeBuckets)
	}
	if o.ResponseSize {
		rec.responseSize, errs[5] = histogram(o.Names.ResponseSize, "Length of HTTP response bodies, in bytes.", o.SizeBuckets)
	}
	return errors.Join(errs...)
}

// Started says that a request began to be served. Each call needs one of
// [Recorder.Ended].
func (rec *Recorder) Started() { rec.inFlight.Inc() }

// Ended says that a request is no longer served.
func (rec *Recorder) Ended() { rec.inFlight.Dec() }

// Record counts a request that has an answer. It keeps nothing of o.
func (rec *Recorder) Record(o Observation) {
	labels := o.Labels
	if n := len(rec.opts.Labels); len(labels) != n {
		labels = append(slices.Clone(labels[:min(len(labels), n)]), make([]string, n-min(len(labels), n))...)
	}
	h := rec.handlesOf(rec.methods.number(o.Method), o.Route, o.Code, labels)
	h.observe(o.Duration, o.RequestSize, o.ResponseSize)
}

// handlesOf finds the metrics of a request. There are as many labels as in
// Opts.Labels.
func (rec *Recorder) handlesOf(method uint8, route string, code int, labels []string) *handles {
	if route == "" {
		route = Unmatched
	}
	k := key{method: method, code: codeNumber(code), route: route, labels: labels}
	if h := rec.cache.get(&k); h != nil {
		return h
	}
	h := rec.resolve(&k)
	rec.cache.put(&k, h)
	return &h
}

func (h *handles) observe(d time.Duration, requestSize, responseSize int64) {
	if h.requests == nil { // a skipped route
		return
	}
	h.requests.Inc()
	seconds := d.Seconds()
	if h.duration != nil {
		h.duration.Observe(seconds)
	}
	if h.summary != nil {
		h.summary.Observe(seconds)
	}
	if h.requestSize != nil && requestSize >= 0 {
		h.requestSize.Observe(float64(requestSize))
	}
	if h.responseSize != nil && responseSize >= 0 {
		h.responseSize.Observe(float64(responseSize))
	}
}

// resolve asks the core for the children of a key.
func (rec *Recorder) resolve(k *key) (h handles) {
	if k.route == rec.opts.MetricsPath || slices.Contains(rec.opts.SkipRoutes, k.route) {
		return h
	}
	values := append([]string{rec.methods.names[k.method], k.route, codeText(k.code)}, k.labels...)
	h.requests = rec.requests.WithLabelValues(values...)
	if rec.duration != nil {
		h.duration = rec.duration.WithLabelValues(values...)
	}
	if rec.summary != nil {
		h.summary = rec.summary.WithLabelValues(values...)
	}
	if rec.requestSize != nil {
		h.requestSize = rec.requestSize.WithLabelValues(values...)
	}
	if rec.responseSize != nil {
		h.responseSize = rec.responseSize.WithLabelValues(values...)
	}
	return h
}

// Skips says whether Opts.Skip has the middleware leave r alone. An adapter asks
// before it does anything to r or its ResponseWriter.
func (rec *Recorder) Skips(r *http.Request) bool {
	return rec.opts.Skip != nil && contained(rec.opts.Skip, r, false)
}

// labelValues computes the values of Opts.Labels.
func (rec *Recorder) labelValues(r *http.Request) []string {
	if len(rec.opts.Labels) == 0 {
		return nil
	}
	values := make([]string, len(rec.opts.Labels))
	for i, l := range rec.opts.Labels {
		values[i] = contained(l.Value, r, "panic")
	}
	return values
}

// contained calls a function of the application and returns onPanic if it panics: the
// request that it is called for must not fail by that.
func contained[T any](f func(*http.Request) T, r *http.Request, onPanic T) (value T) {
	defer func() {
		if recover() != nil {
			value = onPanic
		}
	}()
	return f(r)
}
