// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// A turn takes as long as its round trips, on a slow line minutes.
func TestHousekeeping_AThousandFamiliesShareRoundTrips(t *testing.T) {
	const families, large, series, writers = 1000, 40, 600, 1500
	server := redistest.Start(t)
	client, other := server.Client(t), server.Client(t)
	store := wire.NewRedis(client, "shop")
	var regs []wire.Registration
	for i := range families {
		regs = append(regs, wire.Registration{
			Family: fmt.Sprintf("f%04d", i), Writer: "w", Nonce: fmt.Sprint("n", i),
			Definition: wire.Definition{Type: wire.TypeCounter, Retention: time.Hour},
		})
	}
	for _, r := range store.Register(t.Context(), regs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for _, r := range regs { // each is looked through in this turn
		if err := other.HSet(t.Context(), controlKey("shop", r.Family), "swept", "none").Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range regs[:large] { // in several slices
		fillHash(t, other, valuesKey("shop", r.Family), series, "s%d", "1%.0d")
		fillHash(t, other, controlKey("shop", r.Family), writers, "w:%d", "1 1%.0d")
	}
	trips := 0
	client.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
		trips++
		return next()
	}))
	if _, err := store.Housekeep(t.Context(), time.Hour, 0); err != nil {
		t.Fatal(err)
	}
	for _, r := range regs {
		left := other.HGetAll(t.Context(), controlKey("shop", r.Family)).Val()
		if left["swept"] == "none" || left["w:0"] != "" || left[fmt.Sprint("w:", writers-1)] != "" {
			t.Fatalf("the turn left %s behind", r.Family)
		}
	}
	// Of the families 1000/32 and 1000/8, of the further slices of the large ones 40/8 and 40/3
	// for each, and some by themselves.
	if most := 32 + 125 + 6*5 + 3*14 + 20; trips > most {
		t.Errorf("%d round trips, want at most %d", trips, most)
	}
}

func fillHash(t *testing.T, client *redis.Client, key string, n int, field, value string) {
	t.Helper()
	if err := client.Eval(t.Context(), fill, []string{key}, n, "HSET", field, value).Err(); err != nil {
		t.Fatal(err)
	}
}
