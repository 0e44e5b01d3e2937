// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// held is an op of a writer that holds the series since born, in microseconds.
func held(field string, born int64) wire.Op {
	return wire.Op{Kind: wire.OpAdd, Field: field, Value: "1", Born: born}
}

// of makes a batch that of another writer.
func of(writer string, c wire.Commit) wire.Commit {
	c.Writer = writer
	return c
}

// starts reads when series began.
func (f *fixture) starts(family, generation string, fields ...string) []int64 {
	f.Helper()
	starts, err := f.store.ReadStarts(f.ctx, []wire.StartsQuery{{Family: family, Generation: generation, Fields: fields}})
	if err != nil || len(starts) != 1 || len(starts[0]) != len(fields) {
		f.Fatalf("reading starts of %s: %v, %v", family, starts, err)
	}
	return starts[0]
}

// wantStart wants a series to have begun at a time, or between two.
func (f *fixture) wantStart(generation, field string, from int64, to ...int64) {
	f.Helper()
	last := append([]int64{from}, to...)[len(to)]
	if got := f.starts("a", generation, field)[0]; got < from || got > last {
		f.Errorf("%q began at %d, want %d to %d", field, got, from, last)
	}
}

// now is the store's time in microseconds.
func (f *fixture) now() int64 {
	f.Helper()
	return f.head().Now.UnixMicro()
}

var startTests = map[string]func(f *fixture){
	"Start_IsSinceWhenTheWriterHoldsTheSeries": func(f *fixture) {
		gen, born := f.family("a", wire.TypeCounter), f.now()-time.Hour.Microseconds()
		f.apply(batch("a", gen, 0, 1, held("x", born), held("", born+1)))
		f.wantStart(gen, "x", born)
		f.wantStart(gen, "", born+1)
	},
	"Start_IsThatOfTheGenerationWhereNobodySaysMore": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1"), held("y", 7)))
		f.wantStart(gen, "x", f.state("a").Created)
		f.wantStart(gen, "y", 7)
	},
	"Start_IsNeverInTheFuture": func(f *fixture) {
		gen, before := f.family("a", wire.TypeCounter), f.now()
		f.apply(batch("a", gen, 0, 1, held("x", before+time.Hour.Microseconds()), held("y", 1<<53)))
		f.wantStart(gen, "x", before, f.now())
		f.wantStart(gen, "y", before, f.now())
	},
	"Start_MovesBackForAWriterThatHeldTheSeriesEarlierAndNeverForward": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		for i, step := range []struct {
			born, want int64
			moves      bool
		}{{0, 100, false}, {200, 100, false}, {100, 100, false}, {90, 90, true}, {95, 90, false}, {1, 1, true}} {
			version := f.state("a").SeriesVersion
			f.apply(of("v"+strconv.Itoa(i), batch("a", gen, 0, 1, held("x", step.born))))
			f.wantStart(gen, "x", step.want)
			if moved := f.state("a").SeriesVersion != version; moved != step.moves {
				f.Errorf("held since %d: the series version changed: %v", step.born, moved)
			}
		}
	},
	"Start_IsNotBeforeTheLastRemovalOfASeries": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100), held("y", 100)))
		before := f.now()
		f.apply(batch("a", gen, 1, 2, deleteX))
		after := f.now()
		f.apply(batch("a", gen, 2, 3, held("x", 50), add("z", "1")))
		f.wantStart(gen, "x", before, after)
		f.wantStart(gen, "z", before, after)
		f.wantStart(gen, "y", 100)
		f.apply(of("w2", batch("a", gen, 0, 1, held("y", 50)))) // y is not moved to the removal
		f.wantStart(gen, "y", 100)
	},
	"Start_IsAnewAfterAReset": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100), held("y", 100)))
		before := f.now()
		f.apply(batch("a", gen, 1, 2, held("z", 100), clearAll, held("x", 100)))
		f.wantStart(gen, "x", before, f.now())
		f.wantStart(gen, "y", 0)
		f.wantStart(gen, "z", 0)
	},
	"Start_IsAnewInAnotherGeneration": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.target.LoseValues(f.T, f.app, "a")
		next := f.family("a", wire.TypeCounter)
		f.wantStart(next, "x", 0)
		f.apply(batch("a", next, 0, 1, add("x", "1")))
		f.wantStart(next, "x", f.state("a").Created)
		f.wantStart(gen, "x", 0)
	},
	"Start_OfAnOrphanIsUnknown": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.target.LoseControl(f.T, f.app, "a")
		next := f.family("a", wire.TypeCounter)
		f.apply(batch("a", next, 0, 1, held("x", 100)))
		f.wantStart(next, "x", 0)
	},
	"Start_StaysWhenProcessesRegisterOrSendAgain": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		first := batch("a", gen, 0, 1, held("x", 100))
		f.apply(first)
		version := f.state("a").SeriesVersion
		for i := range 3 {
			r := registration("a", "w"+strconv.Itoa(i), wire.TypeCounter)
			r.Born = int64(i)
			f.register(r)
		}
		first.Ops[0].Born = 50
		if r := f.commit(first); r.Status != wire.CommitDuplicate {
			f.Errorf("status %d", r.Status)
		}
		if r := f.commit(batch("a", gen, 5, 6, held("x", 50))); r.Status != wire.CommitGap {
			f.Errorf("status %d", r.Status)
		}
		f.wantStart(gen, "x", 100)
		if f.state("a").SeriesVersion != version {
			f.Error("the series version changed")
		}
	},
	"Start_OverflowHasOneOfItsOwn": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(capped(batch("a", gen, 0, 1, held("x", 100)), 1))
		f.apply(capped(batch("a", gen, 1, 2, held("y", 300), held("z", 200)), 1))
		if got := f.starts("a", gen, "x", "over", "y", "z"); !slices.Equal(got, []int64{100, 200, 0, 0}) {
			f.Errorf("x, the overflow, y and z began at %v", got)
		}
	},
	"Start_IsUnknownWhereTheMarksWereLost": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100), held("y", 100)))
		f.target.LoseMarks(f.T, f.app, "a")
		f.apply(batch("a", gen, 1, 2, held("x", 50), held("z", 100), wire.Op{Kind: wire.OpDelete, Field: "y"}))
		if got := f.starts("a", gen, "x", "y", "z"); !slices.Equal(got, []int64{0, 0, 0}) {
			f.Errorf("without marks, they began at %v", got)
		}
		wantVector(f, "the series", f.series("a")["x"], "2")
		f.family("a", wire.TypeCounter) // brings the key back
		before := f.now()
		f.apply(batch("a", gen, 2, 3, wire.Op{Kind: wire.OpDelete, Field: "z"}))
		f.apply(batch("a", gen, 3, 4, held("x", 50), held("y", 50)))
		f.wantStart(gen, "x", 0)
		f.wantStart(gen, "y", before, f.now())
	},
	"Start_IsRightForThousandsOfSeries": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		const many = 3000
		fields, ops := make([]string, many), make([]wire.Op, many)
		for i := range many {
			fields[i] = "k\xff" + strconv.Itoa(i)
			ops[i] = held(fields[i], int64(1000+i)<<20)
		}
		f.apply(batch("a", gen, 0, 1, ops[:many/2]...))
		f.apply(batch("a", gen, 1, 2, ops[many/2:]...))
		want := func(gone int) {
			f.Helper()
			for i, start := range f.starts("a", gen, fields...) {
				if at := int64(1000+i) << 20; start != at && i%3 >= gone || start != 0 && i%3 < gone {
					f.Fatalf("series %d began at %d, want %d", i, start, at)
				}
			}
		}
		want(0)
		var deletions []wire.Op
		for i := 0; i < many; i += 3 {
			deletions = append(deletions, wire.Op{Kind: wire.OpDelete, Field: fields[i]})
		}
		f.apply(batch("a", gen, 2, 3, deletions...))
		want(1)
	},
	"Start_OfWhatIsNotThereIsUnknown": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		starts, err := f.store.ReadStarts(f.ctx, []wire.StartsQuery{
			{Family: "a", Generation: "other", Fields: []string{"x"}},
			{Family: "absent", Generation: gen, Fields: []string{"x"}},
			{Family: "a", Generation: gen},
			{Family: "a", Generation: gen, Fields: []string{"absent", "x", "x"}},
		})
		want := [][]int64{{0}, {0}, {}, {0, 100, 100}}
		if err != nil || !slices.EqualFunc(starts, want, slices.Equal[[]int64]) {
			f.Errorf("read %v, %v, want %v", starts, err, want)
		}
		if starts, err := f.store.ReadStarts(f.ctx, nil); err != nil || len(starts) != 0 {
			f.Errorf("no queries: %v, %v", starts, err)
		}
	},
}
