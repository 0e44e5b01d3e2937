// SPDX-License-Identifier: Apache-2.0

// Package wire is shoal's protocol: how an application's metrics are stored in
// Redis, and by which rules its processes change them. docs/protocol.md has it
// all, for other languages too; this is the map.
//
// # Keys
//
// A family has two keys under one hash tag: ctl, with the registration and the
// writers' sequence numbers, and v, with one field for each series. An app has
// a list of families, the leases, and a hash of gauges for each writer. keys.go
// builds them all, codec.go reads and writes what is in them.
//
// # Scripts
//
// Every change is one script, in name-K.lua with K keys. Each reads and checks
// everything before its first write, and that write is one that Redis refuses
// when it is out of memory: a script either did all or nothing. Each may run
// twice, and says at its head why.
//
// # Who decides what
//
// This package carries requests out and never repeats one by itself, but for a
// script that the server did not know. An error is one of two kinds, which
// [Refused] tells apart: the store did not do it, or nobody knows. What follows
// from that, and from the states that a commit answers with, is up to the
// writer in package shoal.
//
// [Store] is what the rest of shoal sees. The suite in core/tests/conformance
// holds each of its implementations to the same rules.
package wire
