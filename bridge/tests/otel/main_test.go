// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// clientLog has what go-redis logs, such as every connection that a test cuts.
var clientLog testkit.Heard

// TestMain is also where replicas begin, which tests start from this binary.
func TestMain(m *testing.M) {
	if config := os.Getenv(replicaEnv); config != "" {
		os.Exit(replicaMain(config, os.Stdin, os.Stdout))
	}
	redis.SetLogger(&clientLog)
	redistest.Main(m)
}
