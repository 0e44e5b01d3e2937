// SPDX-License-Identifier: Apache-2.0

// Package behaviour_test shows what shoal promises, on real Redis servers,
// with several registries and several operating system processes.
package behaviour_test

import (
	"os"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// TestMain is also the way into the child processes that tests start of this
// very binary.
func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(childMain(config, os.Stdin, os.Stdout))
	}
	redistest.Main(m)
}
