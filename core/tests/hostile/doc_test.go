// SPDX-License-Identifier: Apache-2.0

// Package hostile_test shows what shoal promises to those who share a Redis with
// somebody who can write its keys: it fills the keys of an app with contents that
// make no sense, and looks at what the processes of the app make of them.
//
//	hostile_test.go  the seeds: how many, who runs them, what a failure prints
//	driver_test.go   starts processes that run seeds, and leaves out writes that a failure does not need
//	runner_test.go   such a process
//	limits_*_test.go the limits of that process
//	session_test.go  one seed: the processes of an app, and the rounds
//	checks_test.go   what must hold in a round
//	app_test.go      the metrics of an app, and what they must show
//	page_test.go     a page in any format, read strictly
//	crowd_test.go    very many entries, each as it should be
//	attack_test.go   which keys are written to, and how
//	contents_test.go contents that look nearly as the protocol says
//	texts_test.go    hostile texts and numbers
//
// A seed is one app: two processes that write, one with a client of Open and one
// with a client of the test's, and one that only reads. In each of its rounds some
// of the app's keys are overwritten; then the processes write on, flush, and show
// pages; then the keys are removed, and the processes must go on as if nothing had
// been. What a round writes depends on the seed alone, but for the random names that
// the processes gave themselves and for the times.
//
// To run more seeds, or one of them again with what it writes:
//
//	go test ./hostile -hostile.seeds 20000 -timeout 0
//	go test ./hostile -hostile.seed 4711
package hostile_test
