// SPDX-License-Identifier: Apache-2.0

// Package behaviour_test shows what shoal promises, on real Redis servers,
// with several registries and several operating system processes.
package behaviour_test

import (
	"context"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// TestMain is also the way into the child processes that tests start of this
// very binary.
func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(childMain(config, os.Stdin, os.Stdout))
	}
	redis.SetLogger(silence{}) // the client tells of every line that a test cuts
	redistest.Main(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
