// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// guarded is a store whose reading commands are sent as they are.
func guarded(client redis.UniversalClient, app string) *wire.Redis {
	store := wire.NewRedis(client, app)
	store.Guarded = true
	return store
}

// roundTrips counts pipelines.
type roundTrips struct{ n int }

func (*roundTrips) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.n++
		return next(ctx, cmds)
	}
}

func TestHead_WhatIsKnownTakesOneRoundTripAndValuesAnother(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	trips := &roundTrips{}
	client.AddHook(trips)
	store := guarded(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	if _, err := store.Hold(t.Context(), wire.HoldRequest{Writer: "w", Index: wire.NoIndex, Wanted: 0, TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	var last wire.AppState
	read := func(want int) {
		t.Helper()
		trips.n = 0
		head, err := store.ReadHead(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		if last = head.App; len(head.States) != 1 || len(head.Gauges) != 1 || head.States[0].Err != nil || head.Lineage == "" {
			t.Errorf("read %+v", head)
		}
		if trips.n != want {
			t.Errorf("%d round trips, want %d", trips.n, want)
		}
	}
	read(3 + 2) // two scripts that the server does not know yet
	read(1)
	client.ScriptFlush(t.Context())
	read(2)
	trips.n = 0
	if _, lineage, err := store.ReadSeries(t.Context(), []wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage); err != nil || lineage == "" || trips.n != 1 {
		t.Errorf("%d round trips for values, %q, %v", trips.n, lineage, err)
	}
}

// A redirection makes ReadSeries ask again, and what it then reads is newer
// than the lineage behind the first reading.
func TestHead_TheLineageIsOfAfterTheLastValue(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	before, err := store.Lineage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := server.Client(t)
	other.Rename(t.Context(), "shoal:1:{shop/a}:v", "kept")
	other.Set(t.Context(), "shoal:1:{shop/a}:v", "of another type", 0)
	// The values cannot be read; then they can, in another history.
	reading := interrupted(server.Client(t), "hmget", sync.OnceFunc(func() {
		other.Rename(t.Context(), "kept", "shoal:1:{shop/a}:v")
		other.Do(t.Context(), "debug", "change-repl-id")
	}))
	replies, lineage, err := guarded(reading, "shop").ReadSeries(t.Context(),
		[]wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage)
	if err != nil || replies[0].Err != nil || !replies[0].Values[0].Found {
		t.Fatalf("%+v, %v", replies, err)
	}
	if after, _ := store.Lineage(t.Context()); after == before || lineage != after {
		t.Errorf("the lineage was %q, is %q, and behind the values %q", before, after, lineage)
	}
}
