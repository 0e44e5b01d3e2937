// SPDX-License-Identifier: Apache-2.0

// Package shoalecho records the requests of an echo server in shoal and serves
// the page on which all processes of the application appear. It is for echo v5.
//
//	e := echo.New()
//	shoalecho.Install(e, shoal.Default(), shoalecho.Opts{})
//	e.GET("/users/:id", user)
//	err := shoalecho.Run(ctx, e, ":8080", shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics. The package for echo v4 has the same name and functions.
//
// # Route
//
// The route is echo's Path: /users/:id. A request that no route matches is
// "unmatched", 404 and 405 alike, and so is an OPTIONS that echo answers by
// itself. For an unknown path below a group that has middleware, echo has a
// route of its own from 5.3 on: /api/*.
//
// # Errors
//
// A handler's error becomes an answer in echo's HTTPErrorHandler, which runs
// after all middleware. To know the status, this middleware calls that handler itself
// and returns nil, so that it runs once. Put this middleware outermost: one further out
// does not get the error. The status that the error handler sends is recorded, also
// after a deadline; a 5xx to a client that is gone is recorded as 499.
//
// # Order
//
// [Install] comes before any other e.Use. An authentication guards the page as
// well, whether it is added before or after.
package shoalecho
