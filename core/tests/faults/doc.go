// SPDX-License-Identifier: Apache-2.0

// Package faults breaks real Redis servers, and the lines to them, under an
// application that counts and a Prometheus that scrapes, and says what each of
// the two and the totals do. docs/faults.md is made of its table.
package faults
