// SPDX-License-Identifier: Apache-2.0

// Package httpmetrics is what shoal's HTTP middlewares share: the metrics of a
// server, the bookkeeping of one request, and a way to serve that loses no
// count at shutdown. Applications import shoalhttp, shoalchi, shoalgin, shoalecho,
// shoalfiber or shoalfasthttp, and this package for what their Opts are made of.
// Authors of further adapters build on it.
//
// # What is recorded
//
//	http_requests_total{method,route,code}              counter
//	http_request_duration_seconds{method,route,code}    histogram
//	http_requests_in_flight                             gauge, per process
//
// Sizes, a summary of the durations, other names, further labels and classes of statuses
// are in [Opts]. The values of the labels are bounded whatever a client sends:
//
//   - method is one of the ten of HTTP (QUERY is the tenth) or of [Opts.Methods],
//     spelled as HTTP spells them, or "other".
//   - route is the pattern by which the router chose the handler, without
//     method and host, or "unmatched". It is never a path, unless [Opts.Route] or
//     [SetRoute] tells one.
//   - code is the status, 100 to 599, or "other".
//
// Further labels come from the request, when it is recorded, or from inside: [SetLabel]
// sets what an authentication or a handler has learned. Their values are the
// application's affair; beyond the registry's limit of series they share one.
//
// # Which status
//
// The code is the first final status that was sent: 1xx are not final, but 101 is.
// If the handler sent nothing, it is 200, since net/http then sends that; for a
// hijacked connection 101; for a handler that panicked or ended its goroutine 500,
// unless it had sent a status. The middleware does not recover the panic.
//
// Behind an http.TimeoutHandler, a handler that outlasts the deadline is 503 with
// no bytes, whatever it writes: that is what the client got. If a middleware with a
// ResponseWriter without Unwrap is between the two, only a late Write tells. Any
// other deadline changes nothing about what was sent.
//
// A client that went away before it had an answer is 499: nothing was sent, or a
// 5xx after it left, as a reverse proxy does. A request that ends because the server
// is shut down is not 499. [Serve] and [Graceful] know that; for a server that is
// shut down without them, the cause of the context tells it, as signal.NotifyContext
// gives one.
//
// # Streams
//
// A hijacked connection, the tunnel of a CONNECT (a WebSocket over HTTP/2 is one)
// and a response that has no end of its own may live for hours. They are recorded
// when they begin, with the time until then, so they neither spoil the quantiles nor
// go uncounted when the process ends first. They are in flight for as long as their
// handler runs. Their response size is unknown and not observed. Responses without an
// end are recognized by their media type:
//
//	text/event-stream
//	application/x-ndjson, /ndjson, /jsonl, /x-jsonl, /jsonlines, /x-jsonlines,
//	            /json-seq, /stream+json
//	application/grpc, /grpc-web, /grpc-web-text, each with a +codec or without
//	application/connect+codec
//	multipart/x-mixed-replace
//
// [Opts.Stream] decides on further ones.
//
// # Once
//
// A request that passes several middlewares of the same registry, names and
// constant labels is recorded once, by the outermost: with its options, and with the
// route that it knows. If it knows none, the route is that of the next further in:
// shoalhttp around a chi router has chi's. To have the routes of an inner router
// instead of the outer's, put the middleware on the inner one alone.
//
// A middleware further in finds the outermost one below the ResponseWriter. A writer in
// between that has no Unwrap hides it, and then both record. The writer of an
// http.TimeoutHandler does not hide it if the outer middleware is directly around that.
//
// # Limits of wrapping
//
// Handlers get a ResponseWriter of this package ([Recorder.Wrap]), which has the
// optional interfaces of net/http that the one underneath has, and leads to it by
// Unwrap. Code that looks for another interface, or for a type, by a type assertion
// does not find it, such as http3's for WebTransport; [Opts.Skip] leaves such requests
// alone. http.MaxBytesReader looks for a method that only net/http's own writer can
// have. Behind the middleware it limits the body all the same, and gives the same
// error; but it can't tell net/http to close the connection. If up to 256 KiB of the
// body are left, net/http reads them before it sends the answer and keeps the
// connection; otherwise it closes it.
//
// # Parts
//
// [RecorderOf] takes only strings and numbers, so an adapter for a server that is not net/http
// needs nothing else: shoalfasthttp is one. [Exchange] follows one net/http request and decides
// on status, size and time. [Recorder.Wrap] gives a handler a ResponseWriter that tells an
// Exchange what is sent. An adapter whose writer is its own calls [Recorder.Begin] instead, and
// gives that writer a method HTTPExchange() *Exchange, by which the page and a middleware further
// in find the exchange. An adapter asks [RecorderOf.Skips] first, and hands on the request that
// [Exchange.Inside] returns. [Serve] drains servers, then closes the registry.
package httpmetrics
