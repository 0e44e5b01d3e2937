// SPDX-License-Identifier: Apache-2.0

// Package peers measures what a request does, beside the clients and middlewares
// that could be used in shoal's place. It is a module of its own since these take
// long to compile, which make test should do only once. See package benchmarks for
// how to run it.
package peers
