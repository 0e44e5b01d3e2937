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
// it and gone when that one ends, there is no password, and a script takes
// several times as long as in Redis. Production wants a real Redis; nothing
// but the URL changes then.
//
// The commands are those of [miniredis]. What this package adds is a clock
// that runs: there, by default, keys with a time to live stay for ever.
//
// [miniredis]: https://github.com/alicebob/miniredis
package embedded
