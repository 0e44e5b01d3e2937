// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the programs of examples as their users do, and tests them from
// outside: over HTTP, through a real Prometheus, by signals, and with a real Redis that is
// frozen under load. It has tests only.
package e2e
