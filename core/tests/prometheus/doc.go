// SPDX-License-Identifier: Apache-2.0

// Package prometheus tests with a real Prometheus, whose scraper, database and query engine
// run inside the test, that every event is seen by increase(): also the first ones of a
// series. It is a module of its own, since Prometheus has many dependencies.
package prometheus
