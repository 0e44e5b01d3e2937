// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures shoal beside what a user would pick instead, on
// the same work in the same run. Run it with
//
//	for i in 1 2 3 4 5 6; do go test -run '^$' -bench . -benchtime 300ms; done | tee new.txt
//
// and compare peers, or versions, with benchstat. Only ratios within one run
// mean something: the machines are shared. The peers of one name run one after
// the other, and the loop interleaves rounds, which -count 6 would not.
// baseline.txt holds the results that the tables of docs/performance.md are
// made from.
package benchmarks
