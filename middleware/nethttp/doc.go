// SPDX-License-Identifier: Apache-2.0

// Package shoalhttp records the requests of a net/http server in shoal and
// serves the page on which all processes of the application appear.
//
//	mux := http.NewServeMux()
//	mux.HandleFunc("GET /users/{id}", user)
//	handler := shoalhttp.Install(mux, shoal.Default(), shoalhttp.Opts{})
//	err := shoalhttp.Run(ctx, &http.Server{Addr: ":8080", Handler: handler}, shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics.
//
// # Route
//
// The route is the pattern of the ServeMux without method and host:
// "GET shop.example/cart/{item}" is /cart/{item}. A request that no pattern
// matches is "unmatched", 404 and 405 alike; a redirect that the mux itself
// sends, to /tree/ or to a cleaned path, has the pattern it leads to. Behind
// http.StripPrefix a nested mux sees a copy of the request, so the route is the
// outer pattern, /api/. To see the inner routes, put the middleware around the
// inner mux instead.
//
// A handler between the middleware and the mux that replaces the request (as
// r.WithContext does) hides the pattern. [Install] takes such handlers and asks
// the mux again; [Middleware] can only if the mux is what it wraps.
//
// CONNECT is "unmatched" unless the pattern names CONNECT: where the mux
// redirects one, it reports the path in place of a pattern.
package shoalhttp
