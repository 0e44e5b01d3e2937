// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// The keys, written here a second time, since other versions and clients in other languages
// rely on them.
func controlKey(app, family string) string { return "shoal:1:{" + app + "/" + family + "}:ctl" }
func valuesKey(app, family string) string  { return "shoal:1:{" + app + "/" + family + "}:v" }
func marksKey(app, family string) string   { return "shoal:1:{" + app + "/" + family + "}:m" }
func familiesKey(app string) string        { return "shoal:1:{" + app + "}:families" }
func leasesKey(app string) string          { return "shoal:1:{" + app + "}:leases" }
func gaugesKey(app, writer string) string  { return "shoal:1:{" + app + "}:g:" + writer }

// RunRedis runs the suite on a server, and the tests on its keys. Advance puts
// the server's clock forward; it is nil for a real server.
func RunRedis(t *testing.T, client redis.UniversalClient, advance func(time.Duration)) {
	t.Helper()
	target := RedisTarget(client)
	if advance != nil {
		target.Advance = func(_ testing.TB, d time.Duration) { advance(d) }
	}
	Run(t, target)
	t.Run("Guarded", func(t *testing.T) { // with a guarded client, it reads by plain commands
		guarded := target
		guarded.Store = func(_ testing.TB, app string) wire.Store {
			store := wire.NewRedis(client, app)
			store.Guarded = true
			return store
		}
		runGroups(t, guarded, gaugeTests, readTests, headTests, expectedTests, scanTests, startTests, changeTests)
	})
	for _, group := range []map[string]func(f *redisFixture){
		storedTests, damageTests, hostileTests, hostileReadTests, agingTests, clockAgingTests, storedSeniorityTests, markDamageTests, formerTests, changeDamageTests, expectedDamageTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				f := &redisFixture{fixture: newFixture(t, target), client: client, mended: map[string]int{}}
				f.store.(*wire.Redis).Mended = func(where string, n int) { f.mended[where] += n }
				test(f)
			})
		}
	}
}

// RedisTarget is a store on a server.
func RedisTarget(client redis.UniversalClient) Target {
	must := func(t testing.TB, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return Target{
		Store: func(_ testing.TB, app string) wire.Store { return wire.NewRedis(client, app) },
		List: func(t testing.TB, app string, names ...string) {
			now, err := client.Time(t.Context()).Result()
			must(t, err)
			for _, name := range names {
				must(t, client.ZAdd(t.Context(), familiesKey(app), redis.Z{Score: float64(now.UnixMilli()), Member: name}).Err())
			}
		},
		SetText: func(t testing.TB, app, family, field, text string) {
			must(t, client.HSet(t.Context(), valuesKey(app, family), field, text).Err())
		},
		LoseControl: func(t testing.TB, app, family string) {
			must(t, client.Del(t.Context(), controlKey(app, family)).Err())
		},
		LoseValues: func(t testing.TB, app, family string) {
			must(t, client.Del(t.Context(), valuesKey(app, family)).Err())
		},
		LoseMarks: func(t testing.TB, app, family string) {
			must(t, client.Del(t.Context(), marksKey(app, family)).Err())
		},
		EndEpoch: func(t testing.TB, app, family string) {
			key := controlKey(app, family)
			if stored, err := client.HGet(t.Context(), key, "epoch").Result(); err == nil {
				n, _, _ := strings.Cut(stored, " ")
				must(t, client.HSet(t.Context(), key, "epoch", n+" 0").Err())
			}
		},
	}
}

// redisFixture adds access to the keys.
type redisFixture struct {
	*fixture
	client redis.UniversalClient
	mended map[string]int // how much damage was replaced, by place
}

// wantMended wants this much damage to have been replaced in one place, and none elsewhere,
// since the last call.
func (f *redisFixture) wantMended(where string, n int) {
	f.Helper()
	want := map[string]int{}
	if n > 0 {
		want[where] = n
	}
	if !maps.Equal(f.mended, want) {
		f.Errorf("replaced was %v, want %v", f.mended, want)
	}
	clear(f.mended)
}

// hash reads a key whole.
func (f *redisFixture) hash(key string) map[string]string {
	f.Helper()
	all, err := f.client.HGetAll(f.ctx, key).Result()
	f.must(err)
	return all
}

func (f *redisFixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}
