// SPDX-License-Identifier: Apache-2.0

// Package shoalfiber records the requests of a fiber app in shoal and serves the page on
// which all processes of the application appear. It is for fiber v3.
//
//	app := fiber.New()
//	shoalfiber.Install(app, shoal.Default(), shoalfiber.Opts{})
//	app.Get("/users/:id", user)
//	err := shoalfiber.Run(ctx, app, ":8080", shoal.Default())
//
// What is recorded, under which names, and what the options are is described in
// package httpmetrics; what is different with fasthttp, in package shoalfasthttp: no 499,
// streams, upgrades.
//
// # Route
//
// The route is that of fiber: /users/:id, with the paths of groups and of mounted apps. A request
// that no route matches is "unmatched", 404 and 405 alike, below a group or a mounted app as
// well. If a middleware of app.Use answers, such as an authentication, no route has been reached:
// the request is "unmatched", or, for app.Use("/files", …), the path is its route.
//
// # Errors
//
// A handler's error becomes an answer in the ErrorHandler of the app, which runs after all
// middleware. To know the status, this middleware calls that handler itself and returns nil, so
// that it runs once. Put this middleware outermost: one further out does not get the error. The
// error handler of a mounted app is used for its paths.
//
// A request that fasthttp refuses (malformed, too large), and one of a method that is not in
// Config.RequestMethods, has no handler and is not recorded.
//
// # Order
//
// [Install] comes before any other app.Use and before the routes. What recovers from panics may
// be further out or further in.
//
// # fiber's own prefork
//
// fiber.ListenConfig{EnablePrefork: true} works with nothing more than [Install]: the
// children share the page, and each has a gauge_index of its own. The master runs the same main, so
// it opens the registry too: it is one more instance on the page, and takes no requests. An embedded
// server belongs in the master, which hands its URL to the children:
//
//	if !fiber.IsChild() {
//		server, err := embedded.Start("")
//		…
//		os.Setenv("REDIS_URL", server.URL())
//	}
//	err := shoal.Default().Open(os.Getenv("REDIS_URL"), shoal.Opts{App: "shop"})
//	…
//	err = app.Listen(":8080", fiber.ListenConfig{EnablePrefork: true})
//
// But fiber does not drain, whatever ends it. If one child ends, the master kills all. If
// the master is killed or gets a signal, each child ends within half a second when it sees
// that its parent is process 1. So each time, what every child counted since its last
// flush is lost: an interval, one second, at most. As process 1 of a container fiber's
// master does not work at all, as all its children see that at once; below a process that
// adopts orphans in place of process 1, the children never end.
//
// Package prefork of shoal's core has none of this: it replaces a dead worker, drains all at the
// end, rolls them one by one, and loses no count at that.
//
//	err := prefork.Run(ctx, prefork.Opts{Addr: ":8080"}, func(ctx context.Context, w *prefork.Worker) error {
//		app := newApp() // opens the registry, and has Install
//		return shoalfiber.RunListener(ctx, app, w.Listener, shoal.Default())
//	})
package shoalfiber
