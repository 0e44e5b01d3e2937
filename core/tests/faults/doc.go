// SPDX-License-Identifier: Apache-2.0

// Package faults breaks real Redis servers, and the network to them, under an
// application that counts and a Prometheus that scrapes, and checks what both
// get, and the totals. The tables of docs/faults.md are made from its tables.
package faults
