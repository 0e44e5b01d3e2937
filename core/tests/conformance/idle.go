// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// pass lets epochs of a family pass: each time, a process registers it when the epoch is over.
// It returns the last reply.
func (f *fixture) pass(epochs int, r wire.Registration) (reply wire.RegisterReply) {
	f.Helper()
	for range epochs {
		f.target.EndEpoch(f.T, f.app, r.Family)
		reply = f.register(r)
	}
	return reply
}

// mark marks series as held, and returns the places of those that are gone.
func (f *fixture) mark(family, generation string, fields ...string) []int {
	f.Helper()
	replies := f.store.Mark(f.ctx, []wire.Mark{{Family: family, Generation: generation, Fields: fields}})
	if len(replies) != 1 || replies[0].Err != nil || replies[0].Unknown {
		f.Fatalf("marking %q: %+v", fields, replies)
	}
	return replies[0].Gone
}

// wantRemoved removes idle and expired series of a family, and wants as many.
func (f *fixture) wantRemoved(family string, want wire.Removed) {
	f.Helper()
	if got, err := wire.RemoveExpired(f.ctx, f.store, family); err != nil || got != want {
		f.Errorf("removed of %s: %+v, %v, want %+v", family, got, err, want)
	}
}

// wantFields wants a family to have these series.
func (f *fixture) wantFields(family string, want ...string) {
	f.Helper()
	if got := slices.Sorted(maps.Keys(f.series(family))); !slices.Equal(got, want) {
		f.Errorf("the series of %s are %q, want %q", family, got, want)
	}
}

var (
	nothingRemoved = wire.Removed{}
	oneIdle        = wire.Removed{Idle: 1}
)

var idleTests = map[string]func(f *fixture){
	"Mark_TellsNothingAfterAStepBack": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 3, held("x", 100)))
		for last, unknown := range map[uint64]bool{0: false, 2: false, 3: false, 4: true} {
			m := wire.Mark{Family: "a", Generation: gen, Writer: "w1", Last: last, Fields: []string{"x", "lacking"}}
			reply := f.store.Mark(f.ctx, []wire.Mark{m})[0]
			if reply.Err != nil || reply.Unknown != unknown || unknown == slices.Equal(reply.Gone, []int{1}) {
				f.Errorf("Redis has number 3; the answer to a writer that knows of %d is %+v", last, reply)
			}
		}
		m := wire.Mark{Family: "a", Generation: gen, Writer: "another", Last: 1, Fields: []string{"x"}}
		if reply := f.store.Mark(f.ctx, []wire.Mark{m})[0]; !reply.Unknown {
			f.Errorf("Redis has no number of the writer; the answer is %+v", reply)
		}
	},
	"Mark_TellsWhichSeriesAreGone": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100), held("", 100)))
		version := f.state("a").SeriesVersion
		if gone := f.mark("a", gen, "absent", "x", "never", ""); !slices.Equal(gone, []int{0, 2}) {
			f.Errorf("gone are %v, want 0 and 2", gone)
		}
		if gone := f.mark("a", gen); len(gone) != 0 {
			f.Errorf("of no series, %v are gone", gone)
		}
		f.wantStart(gen, "x", 100)
		f.wantStart(gen, "absent", 0)
		if f.state("a").SeriesVersion != version {
			f.Error("a mark changed the series version")
		}
		replies := f.store.Mark(f.ctx, []wire.Mark{
			{Family: "a", Generation: "other", Fields: []string{"x"}},
			{Family: "a", Generation: gen, Fields: []string{"x", "absent"}},
			{Family: "absent", Generation: gen, Fields: []string{"x"}},
		})
		if len(replies) != 3 || !replies[0].Unknown || replies[1].Unknown || !slices.Equal(replies[1].Gone, []int{1}) || !replies[2].Unknown {
			f.Errorf("replies %+v", replies)
		}
		if replies := f.store.Mark(f.ctx, nil); len(replies) != 0 {
			f.Errorf("%d replies", len(replies))
		}
	},
	"Idle_SeriesStaysForEightEpochsAndGoesInTheNinth": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		first := f.register(r)
		f.apply(batch("a", first.Generation, 0, 1, held("x", 100)))
		if reply := f.pass(8, r); reply.Epoch != "8" || reply.Removed != first.Removed {
			f.Errorf("after eight epochs: %+v", reply)
		}
		f.wantRemoved("a", nothingRemoved)
		f.wantFields("a", "x")
		version := f.state("a").SeriesVersion
		f.pass(1, r)
		before := f.now()
		f.wantRemoved("a", oneIdle)
		f.wantRemoved("a", nothingRemoved)
		f.wantFields("a")
		if f.state("a").SeriesVersion == version {
			f.Error("the series version did not change")
		}
		if reply := f.register(r); reply.Removed == first.Removed || reply.Epoch != "9" {
			f.Errorf("a registration tells %+v", reply)
		}
		if gone := f.mark("a", first.Generation, "x"); !slices.Equal(gone, []int{0}) {
			f.Errorf("gone are %v", gone)
		}
		// What comes later counts from zero, with another start.
		f.apply(batch("a", first.Generation, 1, 2, held("x", 100)))
		wantVector(f, "the series", f.series("a")["x"], "1")
		f.wantStart(first.Generation, "x", before, f.now())
	},
	"Idle_SeriesThatAProcessHoldsStays": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("marked", 100), held("written", 100), held("new", 100), held("left", 100)))
		f.pass(8, r)
		f.mark("a", gen, "marked")
		f.apply(batch("a", gen, 1, 2, wire.Op{Kind: wire.OpDelete, Field: "new"}))
		f.apply(of("w2", batch("a", gen, 0, 1, held("written", 200), add("new", "1"))))
		f.pass(1, r)
		f.wantRemoved("a", oneIdle)
		f.wantFields("a", "marked", "new", "written")
		f.wantStart(gen, "written", 100)
		f.pass(7, r)
		f.wantRemoved("a", nothingRemoved)
		f.pass(1, r)
		f.wantRemoved("a", wire.Removed{Idle: 3})
	},
	"Idle_SeriesOfAMetricThatIsKeptForEverStays": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.pass(9, r)
		r.Retention = 0
		f.register(r)
		f.wantRemoved("a", nothingRemoved)
		if reply := f.pass(3, r); reply.Epoch != "9" {
			f.Errorf("the epoch is %s", reply.Epoch)
		}
		f.wantFields("a", "x")
	},
	"Idle_AgeOfASeriesWithoutAMarkBeginsWhenItIsSeen": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.target.LoseMarks(f.T, f.app, "a")
		f.wantRemoved("a", nothingRemoved)
		f.pass(20, r)
		f.wantRemoved("a", nothingRemoved)
		f.pass(8, r)
		f.wantRemoved("a", nothingRemoved)
		f.pass(1, r)
		f.wantRemoved("a", oneIdle)
	},
	"Idle_NumbersOfEpochsBeginAnewAfter256": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100), held("unseen", 100)))
		for range 62 {
			f.pass(8, r)
			f.mark("a", gen, "x")
		}
		f.wantRemoved("a", nothingRemoved) // the mark of unseen seems to be of a later epoch
		f.pass(8, r)
		f.wantRemoved("a", nothingRemoved)
		f.pass(1, r)
		f.wantRemoved("a", wire.Removed{Idle: 2})
	},
	"Idle_ManyAreRemovedInSlices": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		const many = 2000
		ops, kept := make([]wire.Op, many), []string{}
		for i := range ops {
			ops[i] = held("k\xff"+strconv.Itoa(i), 100)
			if i%8 == 0 {
				kept = append(kept, ops[i].Field)
			}
		}
		f.apply(batch("a", gen, 0, 1, ops...))
		f.pass(9, r)
		f.mark("a", gen, kept...)
		f.wantRemoved("a", wire.Removed{Idle: many - len(kept)})
		slices.Sort(kept)
		f.wantFields("a", kept...)
		for i, start := range f.starts("a", gen, kept...) {
			if start != 100 {
				f.Fatalf("%q began at %d", kept[i], start)
			}
		}
	},
	"Epoch_PassesAfterAnEighthOfTheRetentionAndIsTheOnlyOne": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		want := func(epoch string) {
			f.Helper()
			if got := f.register(r).Epoch; got != epoch {
				f.Errorf("the epoch is %q, want %q", got, epoch)
			}
		}
		r.Retention = 8 * time.Hour
		want("0")
		f.advance(59 * time.Minute)
		want("0")
		f.advance(time.Minute)
		want("1")
		want("1")
		f.advance(400 * day) // the clock jumps
		want("2")
		f.advance(-400 * day)
		want("2")
		f.advance(59 * time.Minute) // since the clock was set back
		want("2")
		f.advance(time.Minute)
		want("3")

		r.Retention = time.Second
		f.advance(59 * time.Second)
		want("3")
		f.advance(time.Second) // an epoch takes a minute at least
		want("4")
	},
	"Epoch_FollowsTheRetentionOfTheYoungestProcess": func(f *fixture) {
		young, old := registration("a", "w1", wire.TypeCounter), registration("a", "w2", wire.TypeCounter)
		young.Born, young.Retention = 20, 8*time.Hour
		old.Born, old.Retention = 10, 8*time.Minute
		f.register(young)
		for range 7 {
			f.advance(10 * time.Minute)
			f.register(young)
			f.register(old)
		}
		if reply := f.register(old); reply.Epoch != "1" {
			f.Errorf("the epoch is %s", reply.Epoch)
		}
	},
}
