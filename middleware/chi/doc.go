// SPDX-License-Identifier: Apache-2.0

// Package shoalchi records the requests of a chi router in shoal and serves the
// page on which all processes of the application appear.
//
//	r := chi.NewRouter()
//	shoalchi.Install(r, shoal.Default(), shoalchi.Opts{})
//	r.Get("/users/{id}", user)
//	err := shoalchi.Run(ctx, r, ":8080", shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics.
//
// # Route
//
// The route is the joined pattern of all routers that the request went through:
// /api/v1/items/{id}. A request that no pattern matches is "unmatched", 404 and
// 405 alike. Where a mounted router knows no route, the pattern ends at the
// mount: /api/*.
//
// http.TimeoutHandler belongs around the router or around a single handler. With
// router.Use, chi gives its routing context to the next request while a handler that
// is too late still uses it.
//
// # Order
//
// [Install] comes before the routes, else chi panics. A request that middleware added
// before it answers by itself is not recorded. Middleware added after it does not guard
// the page: add an authentication before.
package shoalchi
