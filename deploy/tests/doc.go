// SPDX-License-Identifier: Apache-2.0

// Package tests checks what is in deploy: that Kubernetes, the Prometheus Operator and Docker
// Compose accept it, that its parts fit together, and that the programs do with these arguments
// what it says of them. It is a module of its own, so that nobody's module graph has Kubernetes.
package tests
