// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/conformance"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // the client tells of every line that a test cuts
	redistest.Main(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func TestRedis(t *testing.T) {
	conformance.RunRedis(t, redistest.Shared(t).Client(t), nil)
}

func TestCluster(t *testing.T) {
	conformance.RunRedis(t, redistest.SharedCluster(t).Client(t), nil)
}

func TestMiniredis(t *testing.T) {
	m := redistest.StartMini(t)
	conformance.RunRedis(t, m.Client(t), m.Advance)
}

func TestMemstore(t *testing.T) {
	server := memstore.New()
	conformance.Run(t, conformance.Target{
		Store:   func(_ testing.TB, app string) wire.Store { return server.Store(app) },
		Advance: func(_ testing.TB, d time.Duration) { server.Advance(d) },
		List:    func(_ testing.TB, app string, names ...string) { server.List(app, names...) },
		SetText: func(_ testing.TB, app, family, field, text string) {
			server.SetText(app, family, field, text)
		},
		LoseControl: func(_ testing.TB, app, family string) { server.LoseControl(app, family) },
		LoseValues:  func(_ testing.TB, app, family string) { server.LoseValues(app, family) },
	})
}
