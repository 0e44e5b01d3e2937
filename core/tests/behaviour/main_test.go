// SPDX-License-Identifier: Apache-2.0

// Package behaviour_test shows what shoal promises, on real Redis servers,
// with several registries and several operating system processes.
package behaviour_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
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
	redistest.Parallel(6)
	redis.SetLogger(&clientLog) // the client tells of every line that a test cuts
	redistest.Main(m)
}

// clientLog keeps what go-redis logs to itself.
var clientLog clientLogger

type clientLogger struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *clientLogger) Printf(_ context.Context, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// mentioning lists the lines that mention an address.
func (l *clientLogger) mentioning(addr string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if strings.Contains(line, addr) {
			found = append(found, line)
		}
	}
	return found
}
