// SPDX-License-Identifier: Apache-2.0

// Package wire is shoal's protocol in Redis: how an app's metrics are stored, and by
// which rules its processes change them. No other package knows a key or a script.
//
// The rules stand in docs/protocol.md, and only there: keys and fields, what each script
// takes and returns, what a client does with the answers, what is damaged, the limits.
// core/tests/docs compares its table of scripts with the scripts, and
// core/tests/conformance tests its rules on [Redis] and on package memstore. The code:
//
//	store.go             [Store], the calls that the rest of shoal makes
//	register.go …        one file for each call: what it takes and returns, how Redis does it
//	*-K.lua              the scripts of K keys; their heads have KEYS, ARGV, Returns, why twice is safe
//	marks.lua, marks.go  when a series began, and when a process held it last
//	changes.lua …        which series of a large family have changed
//	names.go, keys.go    what a name may be, and the keys that are made of names
//	codec.go             fields, vectors and numbers as texts
//	limits.go            what is believed of what Redis holds
//	redis.go             pipelines
//	pace.go              how long a pipeline may be on a line
//	loadscripts.go       how a server gets to know a script
//	attempt.go           what became of one attempt to send a command
//	errors.go, hint.go   what an error means, and what to do about it
//
// # Refused, or in doubt
//
// A caller must know of each error whether the call may have been executed. For example,
// when a new generation begins over old values, the writer sends a batch that was refused
// and drops one in doubt. [Refused] tells. It relies on two things.
//
//   - A script that fails has changed nothing. All reads and all parsing come before the
//     first write, and the first write is an HSET, which Redis refuses when memory is
//     short. HDEL and UNLINK would not be refused, and after them Redis would not check
//     the memory any more.
//   - go-redis does not send a script a second time by itself: the refusal of its second
//     attempt would hide that the first was executed. See oneShot.
//
// # Reads
//
// A replica lags, and totals would step back, so all reads go to masters. A Cluster client
// that would send reads to replicas is given scripts instead, which it sends to masters.
// Redis executes the short requests of a pipeline one after the other, while other clients
// wait. So one round trip reads only as much as takes Redis a few milliseconds, and no more
// than the line carries well within the client's timeout: see [Pace]. A reading that gets no
// answer is sent again over another connection, and one that divides itself into pipelines
// then makes shorter ones.
//
// # Scripts
//
// A call sends the hash of its script. If the server answers that it does not know it, the
// call is sent again with the source: by SCRIPT LOAD to a single server, by EVAL in a
// Cluster, and by the other of the two where that is refused. So scripts survive SCRIPT
// FLUSH, restarts, failovers and slots that move. Where a server refuses EVALSHA itself,
// each call carries the source.
package wire
