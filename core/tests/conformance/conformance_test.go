// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // go-redis would log every connection that a test cuts
	redistest.Main(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func TestRedis(t *testing.T) {
	t.Parallel()
	RunRedis(t, redistest.Shared(t).Client(t), nil)
}

func TestCluster(t *testing.T) {
	t.Parallel()
	RunRedis(t, redistest.SharedCluster(t).Client(t), nil)
}

func TestMiniredis(t *testing.T) {
	t.Parallel()
	m := redistest.StartMini(t)
	RunRedis(t, m.Client(t), m.Advance)
}

func TestMemstore(t *testing.T) { Run(t, MemstoreTarget(memstore.New())) }
