// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// latestFamily registers a gauge of mode latest.
func (f *fixture) latestFamily(name string, keep time.Duration) (generation string) {
	f.Helper()
	r := registration(name, "w1", wire.TypeGauge)
	r.Mode, r.Retention = wire.ModeLatest, keep
	return f.register(r).Generation
}

// wantHousekept does the housekeeping, and wants so much to be removed.
func (f *fixture) wantHousekept(retention time.Duration, want wire.Removed) {
	f.Helper()
	if got, err := f.store.Housekeep(f.ctx, retention, 0); err != nil || got != want {
		f.Errorf("housekeeping removed %+v, %v, want %+v", got, err, want)
	}
}

var removalTests = map[string]func(f *fixture){
	"Expired_LatestValuesGo": func(f *fixture) {
		gen, now := f.latestFamily("a", 0), f.now()
		later := strconv.FormatInt(now+time.Hour.Microseconds(), 10)
		f.apply(batch("a", gen, 0, 1, latest("expired", "1 5 6"), latest("lasts", "1 5 "+later), latest("for ever", "1 5 0"), latest("junk", "1 5 6")))
		f.target.SetText(f.T, f.app, "a", "junk", "1 6")
		version := f.state("a").SeriesVersion
		before := f.now()
		f.wantRemoved("a", wire.Removed{Expired: 1})
		f.wantFields("a", "for ever", "junk", "lasts")
		if f.state("a").SeriesVersion == version {
			f.Error("the series version did not change")
		}
		if gone := f.mark("a", gen, "lasts", "expired"); !slices.Equal(gone, []int{1}) {
			f.Errorf("gone are %v", gone)
		}
		set := latest("expired", "2 7 0")
		set.Born = 1
		f.apply(batch("a", gen, 1, 2, set))
		f.wantStart(gen, "expired", before, f.now())
	},
	"Expired_ValuesGoInTheHousekeepingToo": func(f *fixture) {
		gen := f.latestFamily("a", 0)
		f.wantHousekept(retention, nothingRemoved)
		f.apply(batch("a", gen, 0, 1, latest("x", "1 5 6"), latest("y", "1 5 6"), latest("z", "1 5 0")))
		f.wantHousekept(0, wire.Removed{Expired: 2})
		f.wantFields("a", "z")
		f.wantHousekept(0, nothingRemoved)
	},
	"Expired_IsNothingInFamiliesOfAnotherKind": func(f *fixture) {
		r := registration("total", "w1", wire.TypeGauge)
		r.Mode = wire.ModeTotal
		for name, gen := range map[string]string{"counter": f.family("counter", wire.TypeCounter), "total": f.register(r).Generation} {
			f.apply(batch(name, gen, 0, 1, add("x", "1")))
			f.target.SetText(f.T, f.app, name, "x", "1 5 6")
			f.wantRemoved(name, nothingRemoved)
			f.wantFields(name, "x")
		}
		f.wantRemoved("absent", nothingRemoved)
	},
	"Expired_ValuesMakeRoomUnderTheCap": func(f *fixture) {
		gen := f.latestFamily("a", retention)
		full := func(prev uint64) wire.CommitReply {
			return f.apply(capped(batch("a", gen, prev, prev+1, latest("new", "1 5 0")), 2))
		}
		f.apply(batch("a", gen, 0, 1, latest("x", "1 5 6"), latest("y", "1 5 0")))
		if r := full(1); r.Overflowed != 1 || r.Totals[0] != "" {
			f.Errorf("a value beyond the cap: %+v", r)
		}
		f.wantFields("a", "x", "y")
		f.wantRemoved("a", wire.Removed{Expired: 1})
		if r := full(2); r.Overflowed != 0 {
			f.Errorf("a value below the cap: %+v", r)
		}
		f.wantFields("a", "new", "y")
	},
	"Removed_IsWhatABatchDeletes": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		removed := f.register(registration("a", "w1", wire.TypeCounter)).Removed
		for i, step := range []struct {
			ops  []wire.Op
			want int
		}{
			{[]wire.Op{add("x", "1"), add("y", "1")}, 0},
			{[]wire.Op{deleteX, {Kind: wire.OpDelete, Field: "absent"}}, 1},
			{[]wire.Op{deleteX}, 0},
			{[]wire.Op{add("x", "1"), add("z", "1")}, 0},
			{[]wire.Op{clearAll, add("x", "1")}, 3},
			{[]wire.Op{clearAll}, 1},
			{[]wire.Op{clearAll}, 0},
		} {
			if f.target.Advance != nil { // a clock that a test moves
				f.target.Advance(f.T, time.Millisecond)
			}
			r := f.apply(batch("a", gen, uint64(i), uint64(i)+1, step.ops...))
			told := f.register(registration("a", "w1", wire.TypeCounter)).Removed
			if r.Removed != step.want || (told != removed) != (step.want > 0) {
				f.Errorf("step %d: %d removed, want %d; a registration told %q, then %q", i, r.Removed, step.want, removed, told)
			}
			removed = told
		}
	},
	"Housekeep_RemovesIdleSeries": func(f *fixture) {
		a, b := registration("a", "w1", wire.TypeCounter), registration("b", "w1", wire.TypeCounter)
		genA, genB := f.register(a).Generation, f.register(b).Generation
		f.apply(batch("a", genA, 0, 1, held("x", 100), held("y", 100)))
		f.apply(batch("b", genB, 0, 1, held("x", 100)))
		f.wantHousekept(0, nothingRemoved)
		f.pass(9, a)
		f.pass(9, b)
		f.mark("b", genB, "x")
		f.wantHousekept(0, wire.Removed{Idle: 2})
		f.wantHousekept(0, nothingRemoved)
		f.wantFields("a")
		f.wantFields("b", "x")
	},
	"Housekeep_CountsTheSeriesOfAForgottenFamily": func(f *fixture) {
		short, kept, ever := registration("a", "w1", wire.TypeCounter), registration("kept", "w1", wire.TypeCounter), registration("ever", "w1", wire.TypeCounter)
		short.Retention, kept.Retention, ever.Retention = time.Hour, 60*day, 0
		for _, r := range []wire.Registration{short, kept, ever} {
			f.apply(batch(r.Family, f.register(r).Generation, 0, 1, add("x", "1"), add("y", "1")))
		}
		turns := func(elapsed time.Duration, want wire.Removed) {
			f.Helper()
			f.advance(elapsed)
			f.wantHousekept(retention, nothingRemoved) // the turn is late
			f.advance(20 * time.Minute)
			f.wantHousekept(retention, want)
		}
		f.housekeep(retention)
		turns(29*day, nothingRemoved)
		turns(2*day, wire.Removed{Idle: 2})
		if names := slices.Sorted(slices.Values(f.head().Families)); !slices.Equal(names, []string{"ever", "kept"}) {
			f.Errorf("the families are %q", names)
		}
		turns(31*day, wire.Removed{Idle: 2})
		turns(400*day, nothingRemoved)
		f.wantFields("ever", "x", "y")
	},
	"Housekeep_LateTurnRemovesOnlyLeases": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.apply(of("silent", batch("a", gen, 0, 1, add("x", "1"))))
		f.housekeep(retention)
		f.pass(9, r)
		f.take(hold("a"), 0, "")
		f.advance(40 * day) // perhaps the clock was set forward
		f.wantHousekept(retention, nothingRemoved)
		f.take(hold("b"), 0, "") // no lease is left
		f.wantFields("a", "x")
		if n := f.register(registration("a", "silent", wire.TypeCounter)).Last; n != 1 {
			f.Errorf("the number of the silent writer is %d", n)
		}
		f.advance(20 * time.Minute)
		f.mark("a", gen, "x") // living processes have renewed what they hold
		f.wantHousekept(retention, nothingRemoved)
		f.wantFields("a", "x")
		f.pass(9, r)
		f.wantHousekept(retention, oneIdle)
	},
}
