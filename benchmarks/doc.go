// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures shoal beside what a user would pick instead, on
// the same work in the same run. Everything that docs/performance.md and the
// README quote is measured and written there by
//
//	go run ./report
//
// results.txt holds the raw results. To work on one benchmark, run it as usual:
//
//	go test -run '^$' -bench HotPath/op=inc
//
// Benchmarks are named Name/key=value/key=value/side=shoal, the peers of a name
// one after the other, so that package report can tell what belongs together.
// Their table is declared in report/tables.go and written between two markers
// of the document that has the table's name, "<!-- table: NAME -->" and
// "<!-- end -->". Only ratios within one run mean something: the machines are shared.
package benchmarks
