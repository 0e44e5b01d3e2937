// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The guard counts what a connection read until the connection is used again, and beyond 96 MB it
// lets no long text pass. So no pipeline of an undamaged app may take a third of that.
func TestGauges_OfManyProcessesAreFarBelowWhatTheGuardLetsPass(t *testing.T) {
	const processes, each = 64, 990
	server := redistest.Start(t)
	client := server.Client(t)
	alive := fmt.Sprint("1.5 ", time.Now().Add(time.Hour).UnixMilli())
	long := strings.Repeat("x", 1000)
	app := wire.AppState{}
	for i := range processes {
		writer := fmt.Sprint("w", i)
		app.Leases = append(app.Leases, wire.Lease{Writer: writer})
		key := "shoal:1:{shop}:g:" + writer
		if err := client.Eval(t.Context(), fill, []string{key}, each, "HSET", "g%d"+long, alive+"%.0d").Err(); err != nil {
			t.Fatal(err)
		}
	}
	limits, taken := guard.Limits{}, int64(0)
	guarded := server.Client(t, func(o *redis.Options) {
		dial := redis.NewDialer(o)
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return guard.New(conn, addr, &limits, nil), nil
		}
	})
	guarded.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
		err := next()
		taken = max(taken, limits.Taken())
		return err
	}))
	store := wire.NewRedis(guarded, "shop")
	store.Guarded = true
	gauges, err := store.ReadGauges(t.Context(), app.Writers())
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range gauges {
		if len(g.Entries) != each || g.Err != nil || g.Damaged > 0 {
			t.Errorf("process %d: %d gauges, %d damaged: %v", i, len(g.Entries), g.Damaged, g.Err)
		}
	}
	if taken > 32<<20 {
		t.Errorf("a pipeline takes %d MB", taken>>20)
	}
}
