// SPDX-License-Identifier: Apache-2.0

// Package tests runs one table of HTTP semantics against all middlewares, over real
// servers on the loopback interface, so that all do the same. What only one framework has
// is tested beside its adapter.
package tests
