// SPDX-License-Identifier: Apache-2.0

// Package differential tests that the store in memory, on which the core's
// simulation runs, does what the scripts do on a real server: the same random
// schedule of requests, losses of keys and damage goes to both, and every reply
// and everything stored must be the same.
package differential
