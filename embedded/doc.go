// SPDX-License-Identifier: Apache-2.0

// Package embedded runs a small Redis inside a Go process, for first steps,
// demonstrations and integration tests of applications that use shoal:
//
//	server, err := embedded.Start("")
//	if err != nil {
//		return err
//	}
//	defer server.Close()
//	err = shoal.Default().Open(server.URL(), shoal.Opts{App: "shop"})
//
// It listens on the loopback interface, so all processes of one machine can
// share it by its URL. One of them, the parent of a prefork server for
// example, starts it, and closes it after all others have closed their
// registries.
//
// It is no database. Everything is in the memory of the process that started
// it and gone when that one ends, and a script takes several times as long as in
// Redis. Production wants a real Redis; nothing but the URL changes then.
//
// # Who can reach it
//
// Every process of the machine, of any user: there is no password, and no TLS. Each
// can read, change and delete all that it holds, and can take the memory and the
// processor's time of the process that started it, until that one dies: nothing
// bounds the number of keys, the length of values or the memory of a script. So it
// is for one's own machine and for tests, not for one that others use, not for data
// that matter, and not where something listens that hands requests on to local
// ports.
//
// A script can neither hang the server nor leave it: the server ends a script after 5 s
// (what it has written by then stays), and Close ends it at once; a script can neither
// read files nor compile text. Other commands wait while a script runs.
//
// # Commands
//
// The commands are those of [miniredis], but for the scripts, which this package
// runs: EVAL, EVALSHA, their forms that only read, and SCRIPT LOAD, EXISTS and FLUSH,
// not between MULTI and EXEC, of up to 256 KiB each. They have Lua's basic functions,
// coroutine, math, string and table, cjson and redis, but not bit, struct and cmsgpack;
// numbers become texts as in Go, not as in C. Keys with a time to live expire, which they
// do not in miniredis by default.
//
// [miniredis]: https://github.com/alicebob/miniredis
package embedded
