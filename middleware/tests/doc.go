// SPDX-License-Identifier: Apache-2.0

// Package tests runs one table of HTTP semantics against all middlewares, over
// real servers on the loopback, so that they cannot drift apart. What only one
// framework has is tested beside its adapter.
package tests
