// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"errors"
	"fmt"
	"slices"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// meter holds the metrics of a server. It knows nothing of requests.
type meter struct {
	feeds Feeds

	requests     *shoal.CounterVec
	duration     *shoal.HistogramVec // nil for none, as those below
	summary      *shoal.SummaryVec
	requestSize  *shoal.HistogramVec
	responseSize *shoal.HistogramVec
	inFlight     *shoal.Gauge
	inFlightBy   *shoal.GaugeVec // in place of inFlight, if there is an Opts.InFlightLabel

	methods    methods
	classes    bool     // Opts.StatusClasses
	labels     int      // how many Opts.Labels there are
	unrecorded []string // routes
	cache      *cache
}

// Feeds identifies the metrics that a recorder feeds. Two are equal if the counters of
// requests have the same registry, name and constant labels.
type Feeds struct {
	reg      *shoal.Registry
	requests string // the counter's name and constant labels
}

// Feeds identifies the metrics that the recorder feeds, so that an adapter can tell whether
// a middleware further out records a request in the same ones.
func (m *meter) Feeds() Feeds { return m.feeds }

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

// Record counts a request that has an answer. It keeps nothing of o, so the strings may be
// in a buffer that is used again.
func (m *meter) Record(o Observation) {
	labels := o.Labels
	if n := m.labels; len(labels) != n {
		labels = append(slices.Clone(labels[:min(len(labels), n)]), make([]string, n-min(len(labels), n))...)
	}
	h := m.handlesOf(m.methods.number(o.Method), o.Route, o.Code, labels)
	h.observe(o.Duration, o.RequestSize, o.ResponseSize)
}

// handlesOf finds the metrics of a request. There are as many labels as in
// Opts.Labels.
func (m *meter) handlesOf(method uint8, route string, code int, labels []string) *handles {
	if route == "" {
		route = Unmatched
	}
	k := key{method: method, code: codeNumber(code), route: route, labels: labels}
	if m.classes {
		k.code = classNumber(code)
	}
	if h := m.cache.get(&k); h != nil {
		return h
	}
	h := m.resolve(&k)
	m.cache.put(&k, h)
	return &h
}

func (h *handles) observe(d time.Duration, requestSize, responseSize int64) {
	if h.requests == nil { // a route that is not recorded
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
func (m *meter) resolve(k *key) (h handles) {
	if slices.Contains(m.unrecorded, k.route) {
		return h
	}
	values := append([]string{m.methods.names[k.method], k.route, codeText(k.code)}, k.labels...)
	h.requests = m.requests.WithLabelValues(values...)
	if m.duration != nil {
		h.duration = m.duration.WithLabelValues(values...)
	}
	if m.summary != nil {
		h.summary = m.summary.WithLabelValues(values...)
	}
	if m.requestSize != nil {
		h.requestSize = m.requestSize.WithLabelValues(values...)
	}
	if m.responseSize != nil {
		h.responseSize = m.responseSize.WithLabelValues(values...)
	}
	return h
}

// registerMeter checks the options, which have their defaults, and registers the metrics.
func registerMeter[R any](reg *shoal.Registry, o *OptsOf[R]) (m meter, err error) {
	if reg == nil {
		return m, errNoRegistry
	}
	if o.Duration < Histogram || o.Duration > HistogramAndSummary {
		return m, fmt.Errorf("httpmetrics: Duration is %d: use Histogram, Summary or HistogramAndSummary", o.Duration)
	}
	if l := o.InFlightLabel; l.Name != "" && l.Value == nil {
		return m, fmt.Errorf("httpmetrics: InFlightLabel %q has no Value: set a function", l.Name)
	} else if l.Name == "" && l.Value != nil {
		return m, errors.New("httpmetrics: InFlightLabel has no Name: set one")
	}
	if m.methods, err = newMethods(o.Methods, o.Names.OtherMethod); err != nil {
		return m, err
	}
	m.feeds = Feeds{reg, fmt.Sprintf("%s_%s%q", o.Namespace, o.Names.Requests, o.ConstLabels)}
	m.cache, m.classes, m.labels = new(cache), o.StatusClasses, len(o.Labels)
	m.unrecorded = append(slices.Clone(o.SkipRoutes), o.MetricsPath)
	return m, register(&m, reg, o)
}

// errNoRegistry says what to do about a nil registry.
var errNoRegistry = errors.New("httpmetrics: the registry is nil: give it shoal.Default(), or one of shoal.New()")

func register[R any](m *meter, reg *shoal.Registry, o *OptsOf[R]) error {
	labels := o.labelNames()
	histogram := func(name, help string, buckets []float64) (*shoal.HistogramVec, error) {
		return reg.RegisterHistogramVec(shoal.HistogramOpts{
			Namespace: o.Namespace, Name: name, Help: help,
			ConstLabels: o.ConstLabels, Buckets: buckets,
		}, labels)
	}
	const durationHelp = "Time taken to answer HTTP requests, in seconds."

	errs := make([]error, 6)
	m.requests, errs[0] = reg.RegisterCounterVec(shoal.CounterOpts{
		Namespace: o.Namespace, Name: o.Names.Requests,
		Help: "HTTP requests answered.", ConstLabels: o.ConstLabels,
	}, labels)
	inFlight := shoal.GaugeOpts{
		Namespace: o.Namespace, Name: o.Names.InFlight,
		Help: "HTTP requests being served.", ConstLabels: o.ConstLabels,
	}
	if name := o.InFlightLabel.Name; name != "" {
		m.inFlightBy, errs[1] = reg.RegisterGaugeVec(inFlight, []string{name})
	} else {
		m.inFlight, errs[1] = reg.RegisterGauge(inFlight)
	}
	if o.Duration != Summary {
		m.duration, errs[2] = histogram(o.Names.Duration, durationHelp, o.Buckets)
	}
	if o.Duration != Histogram {
		name := o.Names.Duration
		if o.Duration == HistogramAndSummary {
			name = o.Names.DurationSummary
		}
		m.summary, errs[3] = reg.RegisterSummaryVec(shoal.SummaryOpts{
			Namespace: o.Namespace, Name: name, Help: durationHelp, ConstLabels: o.ConstLabels,
		}, labels)
	}
	if o.RequestSize {
		m.requestSize, errs[4] = histogram(o.Names.RequestSize, "Length of HTTP request bodies, in bytes.", o.SizeBuckets)
	}
	if o.ResponseSize {
		m.responseSize, errs[5] = histogram(o.Names.ResponseSize, "Length of HTTP response bodies, in bytes.", o.SizeBuckets)
	}
	return errors.Join(errs...)
}
