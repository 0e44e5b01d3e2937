// SPDX-License-Identifier: Apache-2.0

// Package shoalfasthttp records the requests of a fasthttp server in shoal and serves
// the page on which all processes of the application appear. shoalfiber, for fiber, stands
// on it.
//
//	handler := shoalfasthttp.Install(router.Handler, shoal.Default(), shoalfasthttp.Opts{Route: route})
//	server := &fasthttp.Server{Handler: handler}
//	err := shoalfasthttp.Run(ctx, server, ":8080", shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics. The rest of this text is about what is different with fasthttp.
//
// # Route
//
// fasthttp has no router, so Opts.Route tells the pattern. Without it each request is
// "unmatched", unless a middleware further in, such as shoalfiber's, knows one.
//
// # Which status
//
// fasthttp sends nothing before the handler has come back, so what is recorded is what the
// response says then: the last status that was set, that of ctx.TimeoutError and of
// fasthttp.TimeoutHandler, 500 for a panic even if a status was set before. Without something that
// recovers, further out or further in, a panic ends the process.
//
// fasthttp does not tell that a client went away. So 499 is never recorded: such a
// request has the status that its handler set.
//
// A request that fasthttp refuses before it has a handler is not recorded: one that is malformed,
// too large or too slow to arrive.
//
// # Streams and upgrades
//
// A body of a SetBodyStreamWriter, or of a SetBodyStream of unknown length, is sent after the
// handler has come back. The request is recorded, and not in flight any more, when the stream
// begins. Its size is not observed. A stream of known length, such as a file, has that length as
// its size, and the duration is that of the handler alone.
//
// A connection that the handler takes over, by ctx.Hijack, has the status of the response that
// fasthttp sends before (101 for a WebSocket), or 101 if it sends none. It is not in flight
// while it lives.
//
// # Strings
//
// fasthttp uses the memory of a request again for the next one. Whatever the metrics keep of
// method, route and labels is a copy, so the functions of Opts may return parts of a
// request.
//
// # Once
//
// A request that passes several middlewares on fasthttp, of whichever framework, is recorded
// once, by the outermost. A handler of net/http inside, by fasthttpadaptor, that has a middleware
// of its own records once more: leave that out.
package shoalfasthttp
