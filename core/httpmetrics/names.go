// SPDX-License-Identifier: Apache-2.0

package httpmetrics

// Names are the names of the metrics and of their labels. An empty field is
// its default, so it is enough to set those that shall differ.
type Names struct {
	// Requests is the counter of requests. Defaults to "http_requests_total".
	Requests string
	// Duration is the histogram of the time from when the middleware gets a
	// request to the end of its handler, in seconds; with [Summary] it is a
	// summary. Defaults to "http_request_duration_seconds".
	Duration string
	// DurationSummary is the summary beside the histogram, with
	// [HistogramAndSummary]. It needs a name of its own, since the histogram
	// owns Duration's _sum and _count. Defaults to
	// "http_request_duration_summary_seconds".
	DurationSummary string
	// InFlight is the gauge of requests being served. Defaults to
	// "http_requests_in_flight".
	InFlight string
	// RequestSize is the histogram of the request bodies, in bytes. Defaults
	// to "http_request_size_bytes".
	RequestSize string
	// ResponseSize is the histogram of the response bodies, in bytes. Defaults
	// to "http_response_size_bytes".
	ResponseSize string

	// Method is the label of the method. Defaults to "method".
	Method string
	// Route is the label of the router's pattern. Defaults to "route".
	Route string
	// Code is the label of the status. Defaults to "code".
	Code string

	// OtherMethod is the value of the method label for methods that HTTP does
	// not define and Opts.Methods does not list. Defaults to "other".
	OtherMethod string
}

// OpenTelemetryNames are the names of OpenTelemetry's semantic conventions, as
// its Prometheus exporters spell them. The conventions have no counter of
// requests, since the histogram counts them too: it is
// http_server_requests_total here.
func OpenTelemetryNames() Names {
	return Names{
		Requests:        "http_server_requests_total",
		Duration:        "http_server_request_duration_seconds",
		DurationSummary: "http_server_request_duration_summary_seconds",
		InFlight:        "http_server_active_requests",
		RequestSize:     "http_server_request_body_size_bytes",
		ResponseSize:    "http_server_response_body_size_bytes",
		Method:          "http_request_method",
		Route:           "http_route",
		Code:            "http_response_status_code",
		OtherMethod:     "_OTHER",
	}
}

func (n Names) withDefaults() Names {
	setDefault := func(field *string, name string) {
		if *field == "" {
			*field = name
		}
	}
	setDefault(&n.Requests, "http_requests_total")
	setDefault(&n.Duration, "http_request_duration_seconds")
	setDefault(&n.DurationSummary, "http_request_duration_summary_seconds")
	setDefault(&n.InFlight, "http_requests_in_flight")
	setDefault(&n.RequestSize, "http_request_size_bytes")
	setDefault(&n.ResponseSize, "http_response_size_bytes")
	setDefault(&n.Method, "method")
	setDefault(&n.Route, "route")
	setDefault(&n.Code, "code")
	setDefault(&n.OtherMethod, "other")
	return n
}
