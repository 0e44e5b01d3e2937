// SPDX-License-Identifier: Apache-2.0

// Package examples holds runnable programs, each about one way to use shoal.
// Each takes the URL of its Redis from the environment variable REDIS_URL, or
// from the flag -redis, which takes precedence. A password belongs in the variable.
// Without both, all but the exporter start an embedded Redis.
//
//	nethttp, chi, gin, echo   a small shop, one line of middleware
//	fiber                     the same on fiber, in one process or in several on one port
//	prefork                   workers that share one port, under core/prefork
//	instances                 two processes on two ports, one page
//	bridge                    applications that know client_golang and OpenTelemetry only, one page
//	batch                     a job that has ended before Prometheus scrapes
//	service                   a shop as it runs in a container, with probes
//	exporter                  a page without an application behind it
package examples
