// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"

	shoal "github.com/shoal-metrics/shoal/core"
)

// DefMetricsPath is where the page is, unless Opts.MetricsPath says
// otherwise.
const DefMetricsPath = "/metrics"

// Unmatched is the route of a request for which the router had no pattern.
const Unmatched = "unmatched"

// Opts are the options of a middleware for net/http.
type Opts = OptsOf[*http.Request]

// OptsOf are the options of a middleware whose framework has an R for each request: a
// *http.Request, or a context of its own. The zero value is ready to use. The
// same options on the same registry share their metrics, so two servers, or
// two tests, in one process may both register them. Servers whose ConstLabels
// have other values have series of their own.
type OptsOf[R any] struct {
	// Namespace is put before the name of each metric, with an underscore.
	// Defaults to none.
	Namespace string
	// Names are the names of the metrics and of their labels, for instance
	// [OpenTelemetryNames]. Defaults to those in the package's description.
	Names Names
	// ConstLabels are labels with fixed values, on each metric. All servers of
	// one registry have the same names of them; their values may differ, such as
	// server="public" and server="admin". Defaults to none.
	ConstLabels shoal.Labels
	// Labels are further labels, computed from each request or set by [SetLabel], on each
	// metric but the one of requests in flight. Defaults to none.
	Labels []LabelOf[R]
	// InFlightLabel is a label on the gauge of requests in flight. It must have a Value,
	// which is called when the request reaches the middleware. Defaults to none.
	InFlightLabel LabelOf[R]
	// StatusClasses records the class of a status in place of the status, such as 2xx for
	// 201. That makes fewer series where handlers answer with many. Defaults to false.
	StatusClasses bool

	// Duration chooses how durations are kept. Defaults to [Histogram].
	Duration DurationKind
	// Buckets are the upper bounds of the durations' buckets, in seconds.
	// Defaults to shoal.DefBuckets.
	Buckets []float64
	// RequestSize adds the histogram of request body sizes. A body of unknown
	// size is not observed. Defaults to false.
	RequestSize bool
	// ResponseSize adds the histogram of response body sizes, as sent.
	// Streams are not observed. Defaults to false.
	ResponseSize bool
	// SizeBuckets are the upper bounds of the sizes' buckets, in bytes.
	// Defaults to 100, 1000, ... 1e9.
	SizeBuckets []float64

	// Methods are methods that are recorded under their own names, besides the
	// ten of HTTP: those of WebDAV, say. Any other is Names.OtherMethod. They are
	// spelled as clients send them, in capitals; naming a method twice, or one of
	// the ten, changes nothing. There may be 240. Defaults to none.
	Methods []string
	// Route tells the route of a request in place of what the middleware knows, for a
	// router that has no adapter. It returns the pattern, never a path: each distinct one
	// is a series, and those beyond the registry's limit share one that says
	// "shoal_overflow". It is called when the request is recorded, in the middleware's
	// goroutine. If it returns nothing or panics, the route is what the middleware knows.
	// [SetRoute] comes before it. Defaults to none.
	Route func(r R) string
	// Stream says which further responses are streams, besides those of the
	// media types in the package's description: they are recorded when they
	// begin. It gets the request as it reached the middleware, and the
	// Content-Type that its handler set, which is empty if that set none. It is
	// asked in the handler's goroutine when the header is about to be sent, or
	// was just sent, possibly more than once. If it panics, the response is no
	// stream. Defaults to none.
	Stream func(r R, contentType string) bool

	// Skip says which requests the middleware leaves alone, as if it were not
	// there: they are neither recorded nor in flight, and their handlers have
	// the ResponseWriter that the server made. It is for code that looks for
	// interfaces which no wrapper can have: WebTransport over HTTP/3, say. It is
	// asked before anything else, with the request as it reached the middleware,
	// in the goroutine that serves it. If it panics, the request is recorded.
	// Defaults to none.
	Skip func(r R) bool
	// SkipRoutes are routes, spelled as the route label spells them, of
	// which nothing is recorded: a health check, say. They count as in flight
	// like any other, since the route is known only later. Defaults to none.
	SkipRoutes []string
	// MetricsPath is where Install puts the page. This route is never
	// recorded. Defaults to [DefMetricsPath].
	MetricsPath string
	// Page are the options of the page that Install puts there. Defaults to
	// the zero HandlerOpts.
	Page shoal.HandlerOpts
}

// Label is a label of requests of net/http.
type Label = LabelOf[*http.Request]

// LabelOf is a label whose value comes from the request. Each combination of
// values is a series of its own, so the values must be few: a tier or an API
// version, never an id. Values beyond the registry's limit of series share one
// that says "shoal_overflow".
type LabelOf[R any] struct {
	// Name is the name of the label.
	Name string
	// Value computes the value, once a request, in the handler's goroutine
	// when the request is recorded. It gets the request as it reached the
	// middleware: what inner handlers put into a context of their own is not
	// in it. If it panics, the value is "panic". A label without Value has the
	// value that a handler or a middleware further in gives it by [SetLabel].
	Value func(r R) string
}

// DurationKind chooses how durations are kept.
type DurationKind int

const (
	// Histogram keeps durations in buckets, for quantiles.
	Histogram DurationKind = iota
	// Summary keeps only count and sum, for averages, under the name that the
	// histogram would have. A running app that changes between the two needs
	// another name as well (Names.Duration): all processes share the name, and
	// a name has one type.
	Summary
	// HistogramAndSummary keeps both, the summary as Names.DurationSummary.
	HistogramAndSummary
)

func (o OptsOf[R]) withDefaults() OptsOf[R] {
	o.Names = o.Names.withDefaults()
	if o.Buckets == nil {
		o.Buckets = shoal.DefBuckets
	}
	if o.SizeBuckets == nil {
		o.SizeBuckets = shoal.ExponentialBuckets(100, 10, 8)
	}
	if o.MetricsPath == "" {
		o.MetricsPath = DefMetricsPath
	}
	return o
}

// PagePath is MetricsPath or its default.
func (o OptsOf[R]) PagePath() string { return o.withDefaults().MetricsPath }

// labelNames lists the labels of the metrics of a request in the order in
// which the recorder gives their values.
func (o OptsOf[R]) labelNames() []string {
	names := []string{o.Names.Method, o.Names.Route, o.Names.Code}
	for _, l := range o.Labels {
		names = append(names, l.Name)
	}
	return names
}
