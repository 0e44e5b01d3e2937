// SPDX-License-Identifier: Apache-2.0

// Package peers measures what a request does, beside the clients and the
// middlewares that one would use in shoal's place. It is a module of its own
// because those bring much to compile, which the tests of everything need only
// once. See package benchmarks for how it is run.
package peers
