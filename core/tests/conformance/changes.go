// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// largeFamily is the family a, with so many series that it keeps a log of changes, after the
// batch 1 of w1.
func (f *fixture) largeFamily() (generation string) {
	f.Helper()
	generation = f.family("a", wire.TypeCounter)
	f.apply(batch("a", generation, 0, 1, numbered(0, wire.LargeFamily+1)...))
	return generation
}

// numbered adds to the series of the numbers from one up to another.
func numbered(from, to int) []wire.Op {
	var ops []wire.Op
	for n := from; n < to; n++ {
		ops = append(ops, held(numberedField(n), 100))
	}
	return ops
}

func numberedField(n int) string { return fmt.Sprintf("k\xff%d", n) }

// deletion is an op that deletes a series.
func deletion(field string) wire.Op { return wire.Op{Kind: wire.OpDelete, Field: field} }

func (f *fixture) version() string {
	f.Helper()
	return f.state("a").SeriesVersion
}

// changes reads the log of the family a from a version to the present one.
func (f *fixture) changes(since string) wire.ChangesReply {
	f.Helper()
	return f.changesBetween(since, f.version())
}

func (f *fixture) changesBetween(since, now string) wire.ChangesReply {
	f.Helper()
	replies, err := f.store.ReadChanges(f.ctx, []wire.ChangesQuery{{Family: "a", Since: since, Now: now}})
	if err != nil || len(replies) != 1 || replies[0].Err != nil {
		f.Fatalf("reading changes from %q to %q: %+v, %v", since, now, replies, err)
	}
	slices.Sort(replies[0].Fields)
	return replies[0]
}

// wantChanges wants the log to name these fields as those that have changed since a version.
func (f *fixture) wantChanges(since string, fields ...string) {
	f.Helper()
	slices.Sort(fields)
	if got := f.changes(since); !got.Known || !slices.Equal(got.Fields, fields) {
		f.Errorf("changes since %q are %s, want %s", since, brief(got), brief(wire.ChangesReply{Known: true, Fields: fields}))
	}
}

// wantUnknown wants the log not to tell what has changed since a version.
func (f *fixture) wantUnknown(why, since string) {
	f.Helper()
	if got := f.changes(since); got.Known || len(got.Fields) > 0 {
		f.Errorf("%s: changes since %q are %s, want them unknown", why, since, brief(got))
	}
}

func brief(r wire.ChangesReply) string {
	return fmt.Sprintf("%d fields %.80q, known: %v", len(r.Fields), r.Fields[:min(3, len(r.Fields))], r.Known)
}

var changeTests = map[string]func(f *fixture){
	"Changes_NameWhatCameWentAndBeganEarlier": func(f *fixture) {
		gen := f.largeFamily()
		first := f.version()
		f.wantChanges(first)
		f.apply(batch("a", gen, 1, 2, add("x", "1"), add("", "1"), add(numberedField(0), "1")))
		f.wantChanges(first, "", "x")
		second := f.version()
		f.apply(batch("a", gen, 2, 3, deletion("x"), deletion(numberedField(7)), deletion("never")))
		f.wantChanges(second, "x", numberedField(7))
		f.wantChanges(first, "", "x", numberedField(7))
		third := f.version()
		f.apply(of("w2", batch("a", gen, 0, 1, held(numberedField(8), 50), held(numberedField(9), 200))))
		f.wantChanges(third)
		f.apply(of("w2", again(batch("a", gen, 1, 2, held(numberedField(8), 50), held(numberedField(9), 200)))))
		f.wantChanges(third, numberedField(8))
		f.apply(batch("a", gen, 3, 4, held("x", 100)))
		f.wantChanges(third, "x", numberedField(8))
		f.wantChanges(first, "", "x", numberedField(7), numberedField(8))
	},
	"Changes_BetweenEqualVersionsAreNone": func(f *fixture) {
		f.family("a", wire.TypeCounter)
		f.wantChanges(f.version())
	},
	"Changes_OfBatchesOfKnownSeriesAreNone": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, numbered(0, 200)...))
		if f.version() != before {
			f.Error("the series version changed")
		}
	},
	"Changes_OfASmallFamilyAreUnknown": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, numbered(0, wire.LargeFamily)...))
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		f.wantUnknown("of 1,000 series before", before)
		before = f.version()
		f.apply(batch("a", gen, 2, 3, deletion("x")))
		f.wantChanges(before, "x")
		middle := f.version()
		f.apply(batch("a", gen, 3, 4, deletion(numberedField(0))))
		f.wantUnknown("of 1,000 series again", middle)
		f.wantUnknown("with one that is not known", before)
	},
	"Changes_OfManySeriesTakeSeveralEntries": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		var ops []wire.Op
		var fields []string
		for n := range 300 {
			fields = append(fields, numberedField(10_000+n)+strings.Repeat("x", n))
			ops = append(ops, add(fields[n], "1"))
		}
		f.apply(batch("a", gen, 1, 2, ops...))
		f.wantChanges(before, fields...)
		middle := f.version()
		f.apply(batch("a", gen, 2, 3, add("x", "1")))
		f.wantChanges(middle, "x")
		f.wantChanges(before, append(fields, "x")...)
	},
	"Changes_BeyondTheLogAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		versions, want := []string{f.version()}, []string(nil)
		for n := range wire.ChangesKept + 40 {
			field := numberedField(10_000 + n)
			want = append(want, field)
			f.apply(batch("a", gen, uint64(1+n), uint64(2+n), add(field, "1")))
			versions = append(versions, f.version())
		}
		for i, version := range versions {
			if i < 40 {
				f.wantUnknown("after more changes than the log has", version)
			} else {
				f.wantChanges(version, want[i:]...)
			}
		}
		if got := f.changesBetween(versions[50], versions[60]); !got.Known || !slices.Equal(got.Fields, want[50:60]) {
			f.Errorf("within the log: %s, want %q", brief(got), want[50:60])
		}
		if got := f.changesBetween(versions[10], versions[20]); got.Known {
			f.Errorf("what was overwritten: %s", brief(got))
		}
	},
	"Changes_OfALongFieldAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		long := strings.Repeat("x", wire.MaxChange-100)
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add(long, "1")))
		f.wantChanges(before, long)
		middle := f.version()
		f.apply(batch("a", gen, 2, 3, add("y", "1"), add(long+strings.Repeat("x", 100), "1"), add("z", "1")))
		f.wantUnknown("a field too long", before)
		f.wantUnknown("a field too long", middle)
		after := f.version()
		f.apply(batch("a", gen, 3, 4, add("u", "1")))
		f.wantUnknown("a field too long before", middle)
		f.wantChanges(after, "u")
		f.apply(batch("a", gen, 4, 5, add("a\xfeb", "1"), add("v", "1")))
		f.wantUnknown("a field with the separator", after)
	},
	"Changes_OfMoreThanALogHasRoomForAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		var ops []wire.Op
		for n := range wire.ChangesKept + 1 {
			ops = append(ops, add(numberedField(n)+strings.Repeat("x", wire.MaxChange/2+100), "1"))
		}
		f.apply(batch("a", gen, 1, 2, ops[:wire.ChangesKept]...))
		if got := f.changes(before); !got.Known || len(got.Fields) != wire.ChangesKept {
			f.Errorf("of as much as there is room for: %s", brief(got))
		}
		f.apply(batch("a", gen, 2, 3, deletion(ops[0].Field)))
		f.wantUnknown("overwritten by one more", before)
		for i := range ops {
			ops[i].Field += "y"
		}
		before = f.version()
		f.apply(batch("a", gen, 3, 4, ops...))
		f.wantUnknown("too much for the log", before)
		if one, two := count(before), count(f.version()); two != one+1 {
			f.Errorf("it takes the numbers from %d to %d, want one", one+1, two)
		}
	},
	"Changes_OfAResetAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, clearAll))
		f.wantUnknown("a reset", before)
		cleared := f.version()
		f.apply(batch("a", gen, 2, 3, numbered(0, wire.LargeFamily+1)...))
		f.wantUnknown("small after a reset", cleared)
		after := f.version()
		f.apply(batch("a", gen, 3, 4, add("x", "1")))
		f.wantChanges(after, "x")
		f.wantUnknown("from before the reset", before)
		f.apply(batch("a", gen, 4, 5, append(numbered(0, 3), clearAll, add("x", "1"))...))
		f.wantUnknown("a reset and what came with it", after)
	},
	"Changes_OfALateResetNameWhatItRemoved": func(f *fixture) {
		gen := f.largeFamily()
		now := f.now()
		var young []wire.Op // so many that the family stays large
		for n := range wire.LargeFamily + 1 {
			young = append(young, held("young\xff"+strconv.Itoa(n), now))
		}
		f.apply(batch("a", gen, 1, 2, young...))
		before := f.version()
		late := clearAll
		late.Born = now - 20_000_000
		f.apply(batch("a", gen, 2, 3, late))
		var gone []string
		for n := range wire.LargeFamily + 1 {
			gone = append(gone, numberedField(n))
		}
		f.wantChanges(before, gone...)
		if got := f.series("a"); len(got) != len(young) {
			f.Errorf("%d series are left, want the %d young ones", len(got), len(young))
		}
	},
	"Changes_NameIdleSeriesThatWereRemoved": func(f *fixture) {
		gen := f.largeFamily()
		const kept, idle = wire.LargeFamily + 1, 600
		f.apply(batch("a", gen, 1, 2, numbered(kept, kept+idle)...))
		f.pass(8, registration("a", "w1", wire.TypeCounter))
		var fields []string
		for n := range kept + idle {
			fields = append(fields, numberedField(n))
		}
		f.mark("a", gen, fields[idle:]...)
		before := f.version()
		f.pass(1, registration("a", "w1", wire.TypeCounter))
		f.wantRemoved("a", wire.Removed{Idle: idle})
		f.wantChanges(before, fields[:idle]...)
	},
	"Changes_NameTheIdleSeriesThatLeavesAFamilySmall": func(f *fixture) {
		gen := f.largeFamily()
		var fields []string
		for n := range wire.LargeFamily + 1 {
			fields = append(fields, numberedField(n))
		}
		for n, known := range []bool{true, false} {
			f.pass(8, registration("a", "w1", wire.TypeCounter))
			f.mark("a", gen, fields[n+1:]...)
			before := f.version()
			f.pass(1, registration("a", "w1", wire.TypeCounter))
			f.wantRemoved("a", wire.Removed{Idle: 1})
			if known {
				f.wantChanges(before, fields[n])
			} else {
				f.wantUnknown("of 1,000 series before", before)
			}
		}
	},
	"Changes_OfSeriesThatGoAndComeAgainNameThemOnce": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		for n := range uint64(5) {
			f.apply(batch("a", gen, 1+2*n, 2+2*n, add("x", "1")))
			f.apply(batch("a", gen, 2+2*n, 3+2*n, deletion("x")))
		}
		f.wantChanges(before, "x")
	},
	"Changes_NameTheOverflowSeries": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(capped(batch("a", gen, 1, 2, add("x", "1"), add("y", "1")), 1))
		f.wantChanges(before, "over")
	},
	"Changes_OfAnotherGenerationAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		f.target.LoseValues(f.T, f.app, "a")
		next := f.largeFamily()
		f.apply(batch("a", next, 1, 2, add("x", "1")))
		f.wantUnknown("another generation", before)
	},
	"Changes_OfGarbledQueriesAreUnknown": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		now := f.version()
		for _, q := range [][2]string{
			{"", ""}, {"", now}, {before, ""}, {now, before}, {gen, now}, {gen + " ", now}, {gen + " x", now}, {before, before + "1"},
			{gen + " 1", now}, {gen + " 99999999999999999999 1.1", now}, {before, gen + " 18446744073709551615 1.1"}, {before + "x", now}, {"g" + before, now},
		} {
			if got := f.changesBetween(q[0], q[1]); got.Known || len(got.Fields) > 0 {
				f.Errorf("from %q to %q: %s", q[0], q[1], brief(got))
			}
		}
	},
	"Changes_OfManyFamiliesAreReadAtOnce": func(f *fixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		other := f.family("b", wire.TypeCounter)
		replies, err := f.store.ReadChanges(f.ctx, []wire.ChangesQuery{
			{Family: "b", Since: other + " 0", Now: other + " 5 1.1"}, {Family: "absent", Since: gen + " 0", Now: gen + " 5 1.1"},
			{Family: "a", Since: before, Now: f.version()}, {Family: "b", Since: "", Now: ""}, {Family: "a", Since: before, Now: f.version()},
		})
		if err != nil || len(replies) != 5 {
			f.Fatalf("%d replies, %v", len(replies), err)
		}
		for i, r := range replies {
			known := i == 2 || i == 4
			if r.Err != nil || r.Known != known || known && !slices.Equal(r.Fields, []string{"x"}) {
				f.Errorf("reply %d: %+v", i, r)
			}
		}
		if replies, err := f.store.ReadChanges(f.ctx, nil); err != nil || len(replies) != 0 {
			f.Errorf("no queries: %v, %v", replies, err)
		}
	},
}

// count is the number of changes in a series version.
func count(version string) int {
	_, shape, _ := strings.Cut(version, " ")
	number, _, _ := strings.Cut(shape, " ")
	n, _ := strconv.Atoi(number)
	return n
}

// again is a batch that was sent before.
func again(c wire.Commit) wire.Commit {
	c.Again = true
	return c
}
