// SPDX-License-Identifier: Apache-2.0

// Package examples holds runnable programs, each about one way to use shoal.
// All of them start an embedded Redis where no -redis URL is given.
//
//	nethttp, chi, gin, echo   a small shop, one line of middleware
//	prefork                   workers that share one port
//	instances                 two processes on two ports, one page
//	batch                     a job that is gone when Prometheus looks
//	exporter                  a page without an application behind it
package examples
