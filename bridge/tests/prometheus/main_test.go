// SPDX-License-Identifier: Apache-2.0

// Package prometheus_test runs programs that count with client_golang, several processes each, on
// real Redis servers. Their page is compared with one process that did all the work alone.
package prometheus_test

import (
	"os"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(childMain(config, os.Stdin, os.Stdout))
	}
	redistest.Parallel(2)
	redistest.Main(m)
}
