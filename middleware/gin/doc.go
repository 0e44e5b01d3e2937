// SPDX-License-Identifier: Apache-2.0

// Package shoalgin records the requests of a gin engine in shoal and serves the
// page on which all processes of the application appear.
//
//	engine := gin.Default()
//	shoalgin.Install(engine, shoal.Default(), shoalgin.Opts{})
//	engine.GET("/users/:id", user)
//	err := shoalgin.Run(ctx, engine, ":8080", shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics.
//
// # Route
//
// The route is gin's FullPath: /users/:id. A request that no route matches is
// "unmatched", 404 and 405 alike. The redirects that gin sends for a trailing slash or
// a path that is not clean never reach any middleware: they are not recorded. A request
// that engine.HandleContext serves again is recorded once, with the first route that
// matched it.
//
// # Order
//
// [Install] comes before routes and groups. gin gives middleware only to routes and
// groups that are made later, so Install panics if it finds a route. gin.Recovery may
// be outside, as gin.Default has it, or inside: a panic is recorded once, as 500. An
// authentication that is added after Install does not guard the page.
//
// # Status and size
//
// A status that a handler only sets (c.Status), and its own 404 and 405, gin sends
// after all middleware. The status is recorded as it will be sent. The few bytes of
// gin's own 404 and 405 are not in the response size.
package shoalgin
