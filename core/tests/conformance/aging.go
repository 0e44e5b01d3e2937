// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// ago returns the server's time before d, in seconds.
func (f *redisFixture) ago(d time.Duration) string {
	return strconv.FormatInt(f.head().Now.Add(-d).Unix(), 10)
}

// list sets when a family was touched last.
func (f *redisFixture) list(family string, ago time.Duration) {
	f.Helper()
	f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{
		Score: float64(f.head().Now.Add(-ago).UnixMilli()), Member: family,
	}).Err())
}

// agingTests let time pass by changing stored times, since a test can't set a real server's clock.
var agingTests = map[string]func(f *redisFixture){
	"Aging_OldSequenceNumbersGo": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		const many = 1500 // more than one call handles
		entries := []any{
			"w:young", "5 " + f.ago(wire.SequenceAge-time.Minute),
			"w:damaged", "junk",
			"w:old of nobody" + strings.Repeat("x", wire.MaxWriter), "5 " + f.ago(0),
		}
		for i := range many {
			entries = append(entries, "w:old"+strconv.Itoa(i), "5 "+f.ago(wire.SequenceAge+time.Second))
		}
		f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), entries...).Err())
		f.housekeep(0)
		control := f.hash(controlKey(f.app, "a"))
		for _, field := range []string{"w:young", "w:w1", "gen", "type", "help"} {
			if _, ok := control[field]; !ok {
				f.Errorf("%s is gone", field)
			}
		}
		for field := range control {
			if len(field) > 5 && field[:5] == "w:old" {
				f.Fatalf("%s is left", field)
			}
		}
	},
	"Aging_StaleFamiliesGo": func(f *redisFixture) {
		for _, name := range []string{"old", "listed", "written", "kept"} {
			gen := f.family(name, wire.TypeCounter)
			f.apply(batch(name, gen, 0, 1, add("x", "1")))
		}
		f.list("old", retention+time.Minute)
		f.list("written", retention+time.Minute)
		f.list("kept", retention-time.Minute)
		for _, name := range []string{"old", "listed", "kept"} {
			f.must(f.client.HSet(f.ctx, controlKey(f.app, name), "touched", f.ago(retention+time.Minute)).Err())
		}
		f.housekeep(retention)
		names := f.head().Families
		slices.Sort(names)
		if want := []string{"kept", "listed", "written"}; !slices.Equal(names, want) {
			f.Errorf("listed are %q, want %q", names, want)
		}
		for name, want := range map[string]int64{"old": 0, "listed": 2, "written": 2, "kept": 2} {
			n := f.client.Exists(f.ctx, controlKey(f.app, name)).Val() + f.client.Exists(f.ctx, valuesKey(f.app, name)).Val()
			if n != want {
				f.Errorf("%s has %d keys, want %d", name, n, want)
			}
		}
		// A family that was written lately is listed again, for its full time.
		score := f.client.ZScore(f.ctx, familiesKey(f.app), "written").Val()
		if age := f.head().Now.Sub(time.UnixMilli(int64(score))); age > time.Minute {
			f.Errorf("the written family counts as touched %s ago", age)
		}
	},
	"Aging_HousekeepingStaysInItsApp": func(f *redisFixture) {
		other := &redisFixture{fixture: newFixture(f.T, f.target), client: f.client}
		other.app = f.app + "2"
		other.store = f.target.Store(f.T, other.app)
		for _, x := range []*redisFixture{f, other} {
			gen := x.family("a", wire.TypeCounter)
			x.apply(batch("a", gen, 0, 1, add("x", "1")))
			x.list("a", retention+time.Minute)
			x.must(x.client.HSet(x.ctx, controlKey(x.app, "a"), "touched", x.ago(retention+time.Minute)).Err())
		}
		f.housekeep(retention)
		if n := len(f.head().Families); n != 0 {
			f.Errorf("%d families are left", n)
		}
		if n := len(other.head().Families); n != 1 || other.series("a")["x"] != "1" {
			f.Error("it removed another app's family")
		}
	},
}
