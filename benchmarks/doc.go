// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures what shoal does with Redis, beside the bare
// commands and beside promhttp, and whole requests. Its module peers measures
// what a request does in memory. Everything that docs/performance.md and the
// README quote is measured and written there by
//
//	go run ./report
//
// results.txt holds the raw results. To work on one benchmark, run it as usual:
//
//	go test -run '^$' -bench Flush/counters=100
//
// Benchmarks are named Name/key=value/key=value/side=shoal, the peers of a name
// one after the other, so that package report can tell what belongs together.
// Only ratios within one run mean something: the machines are shared.
package benchmarks
