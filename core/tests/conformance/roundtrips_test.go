// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// guarded is a store on a guarded client, so it reads by plain commands, not by scripts.
func guarded(client redis.UniversalClient, app string) *wire.Redis {
	store := wire.NewRedis(client, app)
	store.Guarded = true
	return store
}

// pipelineHook is a hook of a client around each of its pipelines.
type pipelineHook func(cmds []redis.Cmder, next func() error) error

func (pipelineHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (pipelineHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h pipelineHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h(cmds, func() error { return next(ctx, cmds) })
	}
}

func TestHead_WhatIsKnownTakesOneRoundTripAndValuesAnother(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	trips := 0
	client.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
		trips++
		return next()
	}))
	f, _ := begin(t, client)
	store := guarded(client, f.app)
	f.take(hold("w"), 0, "")
	var last wire.AppState
	read := func(want int) {
		t.Helper()
		trips = 0
		head, err := store.ReadHead(t.Context(), wire.Expected{App: last})
		if err != nil {
			t.Fatal(err)
		}
		if last = head.App; len(head.States) != 1 || len(head.Gauges) != 1 || head.States[0].Err != nil || head.Lineage == "" {
			t.Errorf("read %+v", head)
		}
		if trips != want {
			t.Errorf("%d round trips, want %d", trips, want)
		}
	}
	read(2 + 2) // two more, to load two scripts
	read(1)
	client.ScriptFlush(t.Context())
	read(3) // the scripts are loaded, and what must be read after them is read again
	trips = 0
	if _, lineage, err := store.ReadSeries(t.Context(), []wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage); err != nil || lineage == "" || trips != 1 {
		t.Errorf("%d round trips for values, %q, %v", trips, lineage, err)
	}
}

// After a redirection ReadSeries reads again, and what it then reads is newer than the
// lineage that followed its first reading.
func TestHead_TheLineageIsOfAfterTheLastValue(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f, _ := begin(t, client)
	before, err := f.store.Lineage(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := server.Client(t)
	other.Rename(t.Context(), valuesKey(f.app, "a"), "kept")
	other.Set(t.Context(), valuesKey(f.app, "a"), "of another type", 0)
	// The values cannot be read at first; then they can, in another lineage.
	reading := interrupted(server.Client(t), "hmget", sync.OnceFunc(func() {
		other.Rename(t.Context(), "kept", valuesKey(f.app, "a"))
		other.Do(t.Context(), "debug", "change-repl-id")
	}))
	replies, lineage, err := guarded(reading, f.app).ReadSeries(t.Context(),
		[]wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage)
	if err != nil || replies[0].Err != nil || !replies[0].Values[0].Found {
		t.Fatalf("%+v, %v", replies, err)
	}
	if after, _ := f.store.Lineage(f.ctx); after == before || lineage != after {
		t.Errorf("the lineage was %q, is %q, and behind the values %q", before, after, lineage)
	}
}
