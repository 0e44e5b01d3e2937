// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"embed"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// formerScripts are those of the release before there were marks. Its clients may share an app
// with present ones.
//
//go:embed testdata/former/*.lua
var formerScripts embed.FS

// former runs a former script on a family.
func (f *redisFixture) former(script, family string, args ...any) []any {
	f.Helper()
	source, err := formerScripts.ReadFile("testdata/former/" + script)
	f.must(err)
	reply, err := f.client.Eval(f.ctx, string(source), []string{controlKey(f.app, family), valuesKey(f.app, family)}, args...).Result()
	f.must(err)
	list, _ := reply.([]any)
	return list
}

// formerCommit sends a batch without totals, of one op.
func (f *redisFixture) formerCommit(generation string, prev, seq int, kind, field, value string) {
	f.Helper()
	if r := f.former("commit-2.lua", "a", generation, "old", prev, seq, 0, "over", 0, kind, field, value); r[0] != "OK" {
		f.Fatalf("a former client's batch: %v", r)
	}
}

func (f *redisFixture) formerRegister() (generation string) {
	f.Helper()
	r := f.former("register-2.lua", "a", "former", "old", 1, wire.TypeCounter, "Help of a.", "", "")
	if r[0] != "OK" {
		f.Fatalf("a former client's registration: %v", r)
	}
	return r[1].(string)
}

var formerTests = map[string]func(f *redisFixture){
	"Former_ClientsWriteAndDeleteBesidePresentOnes": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		if other := f.formerRegister(); other != gen {
			f.Fatalf("generations %q and %q", gen, other)
		}
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.formerCommit(gen, 0, 1, "+", "old", "2")
		f.formerCommit(gen, 1, 2, "+", "x", "2")
		if r := f.apply(batch("a", gen, 1, 2, held("x", 100), held("old", 50))); !slices.Equal(r.Totals, []string{"4", "3"}) {
			f.Errorf("totals %q", r.Totals)
		}
		if got := f.starts("a", gen, "x", "old"); !slices.Equal(got, []int64{100, 0}) {
			f.Errorf("x and what the former client created began at %v", got)
		}

		// A present client that brings the series back gives it a start of its own. Of what a former
		// client brings back the start is early: no reader takes that for a new series.
		f.formerCommit(gen, 2, 3, "-", "x", "")
		if gone := f.mark("a", gen, "x"); !slices.Equal(gone, []int{0}) {
			f.Errorf("gone are %v", gone)
		}
		f.apply(batch("a", gen, 2, 3, held("x", 300)))
		f.wantStart(gen, "x", 300)
		f.formerCommit(gen, 3, 4, "*", "", "")
		f.formerCommit(gen, 4, 5, "+", "x", "1")
		f.wantStart(gen, "x", 300)
		f.apply(batch("a", gen, 3, 4, held("x", 400)))
		wantVector(f, "the series", f.series("a")["x"], "2")
	},
	"Former_ClientBeginsAGeneration": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.target.LoseValues(f.T, f.app, "a")
		next := f.formerRegister()
		if r := f.commit(batch("a", gen, 1, 2, held("x", 100))); r.Status != wire.CommitUnknown {
			f.Errorf("status %d", r.Status)
		}
		f.formerCommit(next, 0, 1, "+", "x", "2")
		f.wantStart(next, "x", 0)
		f.wantRemoved("a", nothingRemoved)
		r.Born = 0 // older than the former client
		if reply := f.register(r); reply.Generation != next || reply.Epoch != "0" || reply.Removed != "0" {
			f.Errorf("registered: %+v", reply)
		}
		f.wantMended("", 0)
		f.apply(batch("a", next, 0, 1, held("x", 100), held("y", 100)))
		if got := f.starts("a", next, "x", "y"); !slices.Equal(got, []int64{0, 100}) {
			f.Errorf("x and y began at %v", got)
		}
		f.pass(9, r) // the retention is the present client's
		f.wantRemoved("a", wire.Removed{Idle: 2})
	},
	"Former_ClientForgetsAFamily": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "touched", f.ago(2*retention)).Err())
		f.former("forget-2.lua", "a", retention.Milliseconds(), 1)
		if n := f.client.Exists(f.ctx, controlKey(f.app, "a"), valuesKey(f.app, "a"), marksKey(f.app, "a")).Val(); n != 1 {
			f.Errorf("%d keys are left, want the marks", n)
		}
		next := f.family("a", wire.TypeCounter)
		f.wantStart(next, "x", 0)
		f.target.LoseControl(f.T, f.app, "a")
		f.target.LoseValues(f.T, f.app, "a")
		f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Score: 1, Member: "a"}).Err())
		f.housekeep(retention) // takes the name off the list, and the marks with it
		if n := f.client.Exists(f.ctx, marksKey(f.app, "a")).Val(); n != 0 {
			f.Error("the marks are left")
		}
	},
}
