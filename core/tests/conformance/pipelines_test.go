// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
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

// Pages of large fleets take few round trips: a call reads the gauges of many processes, and the next
// page knows how many each has.
func TestGauges_OfManyProcessesTakeFewRoundTrips(t *testing.T) {
	for processes, most := range map[int][2]int{10: {1, 1}, 100: {1, 1}, 1000: {1, 1}, 9900: {10, 2}} {
		client := redistest.Start(t).Client(t)
		alive := fmt.Sprint("1.5 ", time.Now().Add(time.Hour).UnixMilli())
		var writers []string
		pipe := client.Pipeline()
		for i := range processes {
			writers = append(writers, fmt.Sprint("w", i))
			pipe.HSet(t.Context(), gaugesKey("shop", writers[i]), "\xfe", "1", "goroutines", alive, "requests_in_flight", alive)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		trips := 0
		client.AddHook(pipelineHook(func(cmds []redis.Cmder, next func() error) error {
			if cmds[0].Name() == "evalsha" { // not the greeting of a new connection
				trips++
			}
			return next()
		}))
		store := wire.NewRedis(client, "shop")
		if _, err := store.ReadGauges(t.Context(), []string{"another"}); err != nil { // the server learns the script
			t.Fatal(err)
		}
		for page, most := range most {
			trips = 0
			client.ConfigResetStat(t.Context())
			gauges, err := store.ReadGauges(t.Context(), writers)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range gauges {
				if len(g.Entries) != 2 || g.Err != nil {
					t.Fatalf("process %d has %+v", i, g)
				}
			}
			if trips > most {
				t.Errorf("page %d of %d processes takes %d round trips, want %d at most", page+1, processes, trips, most)
			}
			t.Logf("%d processes, page %d: %d round trips, %v µs of Redis", processes, page+1, trips, commandStat(t, client, "evalsha", "usec"))
		}
	}
}

// Large processes and damaged keys among small ones take nothing from them, on the first page and
// on the next.
func TestGauges_OfLargeAndDamagedProcessesAreReadBesideOthers(t *testing.T) {
	client := redistest.Start(t).Client(t)
	alive := fmt.Sprint("1.5 ", time.Now().Add(time.Hour).UnixMilli())
	sizes := []int{2, 100, 5000, 0, 20_000, 3, 3999, 1, 70_000, 4, 4000, 4000}
	for range 100 {
		sizes = append(sizes, 100)
	}
	var writers []string
	for i, n := range sizes {
		writers = append(writers, fmt.Sprint("w", i))
		if err := client.Eval(t.Context(), fill, []string{gaugesKey("shop", writers[i])}, n, "HSET", "g%d", alive+"%.0d").Err(); err != nil {
			t.Fatal(err)
		}
	}
	const list, long = 5, 7
	client.Del(t.Context(), gaugesKey("shop", writers[list]))
	client.LPush(t.Context(), gaugesKey("shop", writers[list]), "x")
	client.HSet(t.Context(), gaugesKey("shop", writers[long]), "long", strings.Repeat("x", 2<<20))
	store := wire.NewRedis(client, "shop")
	for page := range 3 {
		gauges, err := store.ReadGauges(t.Context(), writers)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range gauges {
			var refused redis.Error
			switch {
			case i == list:
				if !errors.As(g.Err, &refused) || len(g.Entries) > 0 {
					t.Errorf("page %d: a list in place of gauges is %d gauges, %v", page, len(g.Entries), g.Err)
				}
			case g.Err != nil || len(g.Entries) != sizes[i] || g.Damaged != 0 && i != long:
				t.Errorf("page %d: process %d has %d gauges, want %d: %v", page, i, len(g.Entries), sizes[i], g.Err)
			}
		}
	}
}
