// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Mini is a miniredis whose clock stands still until it is advanced.
type Mini struct {
	*miniredis.Miniredis

	mu  sync.Mutex // guards now
	now time.Time
}

// StartMini starts a miniredis for one test and ends it with the test.
func StartMini(t testing.TB) *Mini {
	t.Helper()
	m := &Mini{Miniredis: miniredis.NewMiniRedis(), now: time.Now()}
	m.SetTime(m.now)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// Advance puts the clock forward, for TIME and for expiries.
func (m *Mini) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	m.SetTime(m.now)
	m.FastForward(d)
}

// Client returns a new client, closed with the test.
func (m *Mini) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}
