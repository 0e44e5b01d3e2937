// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures what shoal does with Redis, beside bare commands
// and beside promhttp, whole requests, and how the cost grows: with families,
// series and processes, and on slow lines. The module peers measures what a
// request does in memory. This command measures all figures of
// docs/performance.md and the README, and writes them there:
//
//	go run ./report
//
// results.txt holds the raw results. To work on one benchmark, run it as usual:
//
//	go test -run '^$' -bench Flush/counters=100
//
// Benchmarks are named Name/key=value/key=value/side=shoal, and the sides of a name
// follow each other, so that package report can tell what belongs together.
// Only ratios within one run are meaningful, since the machines are shared.
package benchmarks
