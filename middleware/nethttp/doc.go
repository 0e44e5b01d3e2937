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
// http.StripPrefix a nested mux gets a copy of the request, so the route is the
// outer pattern, /api/. To see the inner routes, put the middleware around the
// inner mux instead. If a nested mux gets the request itself and has a pattern for
// it, that pattern is the route.
//
// A handler between the middleware and the mux that changes or replaces the request
// (http.StripPrefix, http.TimeoutHandler, a method override, r.WithContext) hides
// the pattern. [Install] takes such handlers. It notes the request as the mux gets it,
// or if one of these handlers answers by itself, as that one got it. [Middleware]
// knows all routes only if the mux is what it wraps.
//
// The route of a CONNECT is its pattern, but "unmatched" if the mux redirects it, since
// the mux then reports the path in place of a pattern. If the middleware is around
// anything but the mux, it takes a pattern that ends in a slash and does not name
// CONNECT for such a path.
//
// # Other routers
//
// For a router that is an http.Handler and leaves no pattern on the request, Opts.Route
// or [SetRoute] tells the route. gorilla/mux tells it inside the router alone, so the
// middleware is there and around it, and a request that passes both is recorded once:
//
//	record := shoalhttp.Middleware(reg, shoalhttp.Opts{Route: template}) // by mux.CurrentRoute
//	router.Use(record)        // knows the route
//	handler := record(router) // records what no route matches
//
// The README has this in full, and the lines for httprouter, chi, Huma and Connect.
package shoalhttp
