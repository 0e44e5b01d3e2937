// SPDX-License-Identifier: Apache-2.0

// Package hostile_test checks what shoal promises to an app whose keys somebody
// else can write too: it fills the keys with hostile contents, and checks
// what the processes of the app do.
//
//	hostile_test.go  the seeds: how many, who runs them, what a failure prints
//	driver_test.go   starts processes that run seeds, and shrinks failures
//	runner_test.go   such a process
//	limits_*_test.go the limits of that process
//	session_test.go  one seed: the processes of an app, and the rounds
//	checks_test.go   what must hold in a round
//	app_test.go      the metrics of an app, and what they must show
//	page_test.go     a page in any format, read strictly
//	crowd_test.go    very many valid entries
//	attack_test.go   which keys are written to, and how
//	contents_test.go contents that nearly follow the protocol
//	texts_test.go    hostile texts and numbers
//
// A seed is one app: two processes that write, one with a client of Open and one
// with a client of the test's, and one that only reads. In each round the test
// overwrites some of the app's keys. The processes go on writing, flush, and show
// pages. Then the test removes the keys, and the processes must go on as if nothing
// had happened. What a round writes depends only on the seed, except for times and for
// the random ids of the processes.
//
// To run more seeds, or to run one again and see what it writes:
//
//	go test ./hostile -hostile.seeds 20000 -timeout 0
//	go test ./hostile -hostile.seed 4711
package hostile_test
