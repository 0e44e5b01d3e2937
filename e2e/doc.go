// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the prefork example as its users do, several processes
// behind one address, and looks at it from outside: over HTTP, through a real
// Prometheus, and on a real Redis that is frozen, stopped and started again
// under load. It has tests only.
package e2e
