// SPDX-License-Identifier: Apache-2.0

// Package otel tests shoalotel beside the OpenTelemetry exporter for Prometheus, and with the
// instrumentation of HTTP and gRPC in several replicas on a real Redis.
package otel
