// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures shoal beside what a user would pick instead, on
// the same work in the same run. Run it with
//
//	go test -run '^$' -bench . -count 6 | tee new.txt
//
// and compare peers, or versions, with benchstat. Only ratios within one run
// mean something: the machines are shared. The sub-benchmarks of one name run
// one after the other; -count interleaves rounds. baseline.txt holds the
// results of the first version.
package benchmarks
