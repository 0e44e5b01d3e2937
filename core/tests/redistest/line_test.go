// SPDX-License-Identifier: Apache-2.0

package redistest_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// behind returns a client behind a line, with one connection that is ready.
func behind(t *testing.T, l *redistest.Line) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: l.Addr, PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1, DisableIdentity: true, ReadTimeout: 5 * time.Second,
	})
	t.Cleanup(func() { _ = client.Close() })
	testkit.Must(t, client.Ping(t.Context()).Err())
	return client
}

func TestLine_CountsRoundTripsAndDelaysEach(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	l := redistest.StartLine(t, redistest.Shared(t).Addr, roundTrip, 0)
	client := behind(t, l)
	before, begin := l.Trips.Load(), time.Now()
	testkit.Must(t, client.Ping(t.Context()).Err())
	pipe := client.Pipeline() // of several pieces
	for range 100 {
		pipe.Echo(t.Context(), strings.Repeat("x", 10_000))
	}
	_, err := pipe.Exec(t.Context())
	testkit.Must(t, err)
	if n := l.Trips.Load() - before; n != 2 {
		t.Errorf("%d round trips, want 2", n)
	}
	if took := time.Since(begin); took < 2*roundTrip {
		t.Errorf("two round trips took %v", took)
	}
	if sent, received := l.Sent.Load(), l.Received.Load(); sent < 1_000_000 || received < 1_000_000 {
		t.Errorf("%d bytes sent, %d received", sent, received)
	}
}

func TestLine_LetsNoMorePassThanItsBandwidth(t *testing.T) {
	l := redistest.StartLine(t, redistest.Shared(t).Addr, 0, 200_000)
	client := behind(t, l)
	begin := time.Now()
	testkit.Must(t, client.Echo(t.Context(), strings.Repeat("x", 40_000)).Err())
	if took := time.Since(begin); took < 190*time.Millisecond {
		t.Errorf("40 kB at 200 kB/s took %v", took)
	}
}

func TestLine_ResetsAndSilencesConnections(t *testing.T) {
	l := redistest.StartLine(t, redistest.Shared(t).Addr, 0, 0)
	client := behind(t, l)
	var asked atomic.Int64
	l.Reset(func() bool { return asked.Add(1) == 1 })
	if client.Ping(t.Context()).Err() == nil {
		t.Error("a request that met a reset was answered")
	}
	testkit.Must(t, client.Ping(t.Context()).Err())

	impatient := client.WithTimeout(50 * time.Millisecond)
	l.Silence()
	if impatient.Ping(t.Context()).Err() == nil {
		t.Error("a silent connection answered")
	}
	testkit.Must(t, impatient.Ping(t.Context()).Err())
}
