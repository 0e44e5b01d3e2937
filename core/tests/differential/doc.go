// SPDX-License-Identifier: Apache-2.0

// Package differential tests that the store in memory, on which the core's
// simulation runs, does the same as the scripts on a real server. Both get the same
// random requests, losses of keys and damage. Every reply and everything that is
// stored must be the same.
package differential
