// SPDX-License-Identifier: Apache-2.0

// Package redisclient makes the Redis client of Registry.Open from a URL, and checks
// the client that Registry.Connect is given.
//
// A client of [New] differs from go-redis's own in three ways. Its connections are
// guarded: see package guard. It asks Sentinels itself, only those in the URL, and checks
// their answers. In a Cluster it learns of no more servers than a Cluster has.
package redisclient
