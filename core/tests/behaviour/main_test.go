// SPDX-License-Identifier: Apache-2.0

// Package behaviour_test shows what shoal promises, on real Redis servers,
// with several registries and several operating system processes.
package behaviour_test

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// clientLog has what go-redis logs, such as every connection that a test cuts.
var clientLog testkit.Heard

// TestMain is also where child processes begin, which tests start from this binary.
func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(childMain(config, os.Stdin, os.Stdout))
	}
	redistest.Parallel(6)
	redis.SetLogger(&clientLog)
	redistest.Main(m)
}
