// SPDX-License-Identifier: Apache-2.0

// Package prefork runs a server as several processes on one port: a parent opens the port and
// starts workers, which are the same program once more and inherit it.
//
//	func main() {
//		opts := prefork.Opts{Addr: ":8080", Workers: 4}
//		err := prefork.Run(context.Background(), opts, func(ctx context.Context, w *prefork.Worker) error {
//			reg := shoal.Default()
//			if err := reg.Open("redis://localhost:6379/0", shoal.Opts{App: "shop"}); err != nil {
//				return err
//			}
//			mux := http.NewServeMux()
//			handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{})
//			return shoalhttp.RunListener(ctx, httpmetrics.NewServer("", handler), w.Listener, reg)
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// It serves anything that takes a [net.Listener]: net/http, gin, echo, chi, fasthttp, gRPC. The
// package knows no framework, and works without a registry as well.
//
// # The end
//
// SIGTERM or SIGINT to the parent, or the end of the context of [Run], ends all: the parent
// sends SIGTERM to the workers, by which the context of their work is done. They drain and
// close their registries. A worker that goes on for longer than [Opts].DrainTimeout is killed.
// Run returns nil if each worker ended without an error. A second SIGINT to the parent kills
// the workers at once and ends the program by that signal. Ctrl-C in a terminal, which reaches
// parent and workers, does the same.
//
// If the parent is killed (kill -9), its workers notice at once: they drain, close and end,
// within DrainTimeout. What they have counted is sent.
//
// # A worker that dies
//
// The parent starts a successor with the same number, at once for the first time, then after a
// pause of up to 10 s while it dies within 10 s again and again. Meanwhile the parent's copy of
// the listener stays open: new connections wait there, none is refused.
//
// Each registry of the successor takes over the gauge_index of its predecessor's, with nothing
// to configure: the parent tells it which index that had. It takes the index from that dead
// process only: prefork parents in many pods can share an app. What the dead worker had not
// sent, an interval at most, is lost. [shoal.Opts].Index, if set, counts in place of that:
// leave it unset.
//
// If a worker ends before any worker has ever been ready, the next would fail as well (a port
// that is taken, a wrong URL): Run ends all and returns the error.
//
// # A roll
//
// SIGHUP to the parent replaces the workers one by one: it starts a new worker, and when that
// is ready, it sends SIGTERM to the old one, which drains; then comes the next. No connection
// is refused, and nothing that was counted is lost. A worker is ready when it first accepts on
// its Listener, or when it calls [Worker.Ready]. If the new worker ends before that, or is not
// ready after [Opts].ReadyTimeout, the roll stops, the log says why, and the old workers go on.
// SIGHUP during a roll begins another one after it. A terminal that is closed sends SIGHUP as
// well: the workers are replaced, and the program goes on without a terminal.
//
// The program is started anew from its path, so a roll after a deploy starts the new version,
// also where the path is a symbolic link that was moved on. The parent stays what it was: a
// change of Opts needs a new parent.
//
// # As process 1 of a container
//
// The parent may be process 1: it handles the signals that end a container, and takes the exit
// status of orphans, so that they do not stay as zombies. No init program is needed.
//
// # What workers inherit
//
// A worker has the parent's arguments, environment, working directory, standard output and
// error; its standard input is empty. It finds the socket to its parent and the listeners by an
// environment variable, which is removed before main runs, and these descriptors are closed on
// exec: what a worker itself starts is no worker. Package variables and init functions run in
// each worker and in the parent. What only the parent is to do goes behind [IsWorker]. A worker's
// GOMAXPROCS is what it would be without a parent.
//
// All this needs a Unix system. Elsewhere [Run] serves in the one process, so that a program
// compiles and runs there too.
//
// [shoal.Opts]: https://pkg.go.dev/github.com/shoal-metrics/shoal/core#Opts
package prefork
