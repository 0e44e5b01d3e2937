// SPDX-License-Identifier: Apache-2.0

// Package shoalhttp records the requests of a net/http server in shoal and
// serves the page on which all processes of the application appear.
//
//	mux := http.NewServeMux()
//	mux.HandleFunc("GET /users/{id}", user)
//	handler := shoalhttp.Install(mux, shoal.Default(), shoalhttp.Opts{})
//	err := shoalhttp.Run(ctx, httpmetrics.NewServer(":8080", handler), shoal.Default())
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
// inner mux instead. A further mux that gets the request itself has the last word
// if it has a pattern.
//
// A handler between the middleware and the mux that changes or replaces the request
// (http.StripPrefix, http.TimeoutHandler, a method override, r.WithContext) hides
// the pattern. [Install] takes such handlers and notes the request as the mux gets
// it, before its handler runs; if one of them answers by itself, as it got it.
// [Middleware] knows all routes only if the mux is what it wraps.
//
// A CONNECT has its pattern, and is "unmatched" where the mux redirects it, since
// the mux then reports the path in place of a pattern. Around anything but the mux,
// a pattern that ends in a slash and does not name CONNECT is taken for such a path.
package shoalhttp
