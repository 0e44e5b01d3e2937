// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"slices"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	deleteX  = wire.Op{Kind: wire.OpDelete, Field: "x"}
	clearAll = wire.Op{Kind: wire.OpClear}
)

func latest(field, value string) wire.Op {
	return wire.Op{Kind: wire.OpLatest, Field: field, Value: value}
}

// capped is a batch under a cap, with the overflow series "over".
func capped(c wire.Commit, limit int) wire.Commit {
	c.Limit, c.Overflow = limit, "over"
	return c
}

var opTests = map[string]func(f *fixture){
	"Add_SparseVectors": func(f *fixture) {
		gen := f.family("a", wire.TypeHistogram)
		for n, step := range []struct{ delta, want string }{
			{"0.5:1 sum:0.25", "0.5:1 sum:0.25"},
			{"0.5:2 sum:0.5", "0.5:3 sum:0.75"},
			{"+Inf:1 sum:100", "0.5:3 +Inf:1 sum:100.75"},
			{"1e-05:7 sum:-200.75", "1e-05:7 0.5:3 +Inf:1 sum:-100"},
			{"0.5:0 sum:0", "1e-05:7 0.5:3 +Inf:1 sum:-100"},
			{"0.5:1 0.5:1 sum:1", "1e-05:7 0.5:5 +Inf:1 sum:-99"},
		} {
			r := f.apply(batch("a", gen, uint64(n), uint64(n)+1, add("x", step.delta)))
			wantVector(f, "the total after "+step.delta, r.Totals[0], step.want)
			wantVector(f, "the series after "+step.delta, f.series("a")["x"], step.want)
		}
	},
	"Add_SeriesWithoutLabelsAndOddFields": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		fields := map[string]string{
			"": "1", "k\xffv": "2", "k\xffv\xffl\xffw x:y\n\"\x00": "3", "k\xffé": "4", "w:w1": "5", "gen": "6",
		}
		var ops []wire.Op
		for field, value := range fields {
			ops = append(ops, add(field, value))
		}
		f.apply(batch("a", gen, 0, 1, ops...))
		if all := f.series("a"); !maps.Equal(all, fields) {
			f.Errorf("stored %q, want %q", all, fields)
		}
	},
	"Add_CorruptTextIsReplacedAndCounted": func(f *fixture) {
		gen := f.family("a", wire.TypeHistogram)
		seq := uint64(0)
		for _, text := range []string{
			"", " ", "garbage", "nan", "inf", "1e999", "0x10", "1:", ":1", "1:2:3", "1:1 ", " 1:1", "1:1  sum:1",
			"1:1 sum", "1:x sum:1", "1:1 sum:x", "1:1 other:x", "5", "1:1e999 sum:1", "\xff\xfe",
		} {
			f.apply(batch("a", gen, seq, seq+1, add("good", "1:1 sum:1"), add("x", "1:1 sum:1")))
			f.target.SetText(f.T, f.app, "a", "x", text)
			r := f.apply(batch("a", gen, seq+1, seq+2, add("x", "1:3 sum:4")))
			if r.Corrupt != 1 {
				f.Errorf("%q: %d corrupt texts, want 1", text, r.Corrupt)
			}
			wantVector(f, "what replaced "+text, f.series("a")["x"], "1:3 sum:4")
			seq += 2
		}
		wantVector(f, "the other series", f.series("a")["good"], "1:20 sum:20")
	},
	"Add_CorruptNumberIsReplacedAndCounted": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		seq := uint64(0)
		for _, text := range []string{"", "x", "1:1", "nan", "-inf", "1e999", "1e", "e1", ".", "--1", "1_0", "0x1p-2", "1 2"} {
			f.apply(batch("a", gen, seq, seq+1, add("x", "1")))
			f.target.SetText(f.T, f.app, "a", "x", text)
			if r := f.apply(batch("a", gen, seq+1, seq+2, add("x", "3"))); r.Corrupt != 1 {
				f.Errorf("%q: %d corrupt texts, want 1", text, r.Corrupt)
			}
			wantVector(f, "what replaced "+text, f.series("a")["x"], "3")
			seq += 2
		}
		for _, text := range []string{"2", "2.", "+2", "2.0", "2e0", "0.2E+1", "20e-1"} {
			f.target.SetText(f.T, f.app, "a", "x", text)
			if r := f.apply(batch("a", gen, seq, seq+1, add("x", "3"))); r.Corrupt != 0 {
				f.Errorf("%q counts as corrupt", text)
			}
			wantVector(f, text+" and 3", f.series("a")["x"], "5")
			seq++
		}
	},
	"Add_ASumGoesBelowZeroAndBack": func(f *fixture) {
		gen := f.family("a", wire.TypeGauge)
		other := batch("a", gen, 0, 1, add(wire.TotalMark, "-2.5"))
		other.Writer = "w2"
		for n, step := range []struct{ delta, want string }{
			{"3", "3"}, {"-5", "-2"}, {"0", "-2"}, {"-0.5", "-2.5"}, {"0.5", "-2"}, {"2", "0"},
			{"-9007199254740991", "-9007199254740991"}, {"9007199254740991", "0"}, {"-0", "0"}, {"-1e-05", "-1e-05"},
		} {
			r := f.apply(batch("a", gen, uint64(n), uint64(n)+1, add(wire.TotalMark, step.delta)))
			wantVector(f, "the total after "+step.delta, r.Totals[0], step.want)
			wantVector(f, "the series after "+step.delta, f.series("a")[wire.TotalMark], step.want)
		}
		f.apply(batch("a", gen, 10, 11, add(wire.TotalMark, "1e-05")))
		f.apply(other)
		if again := f.commit(other); again.Status != wire.CommitDuplicate {
			f.Errorf("a batch that comes again: status %d", again.Status)
		}
		wantVector(f, "the sum of both writers", f.series("a")[wire.TotalMark], "-2.5")
	},
	"Add_LeavesWhatTheLatestOfTheSameLabelsIs": func(f *fixture) {
		gen := f.family("a", wire.TypeGauge)
		for n, ops := range [][]wire.Op{
			{latest("", "5 7 0"), latest("k\xffv", "6 7 0")},
			{add(wire.TotalMark, "-1"), add(wire.TotalMark+"k\xffv", "2")},
			{latest("", "8 9 0")},
			{add(wire.TotalMark+"k\xffv", "2")},
		} {
			f.apply(batch("a", gen, uint64(n), uint64(n)+1, ops...))
		}
		want := map[string]string{"": "8 9 0", "k\xffv": "6 7 0", wire.TotalMark: "-1", wire.TotalMark + "k\xffv": "4"}
		if all := f.series("a"); !maps.Equal(all, want) {
			f.Errorf("stored %q, want %q", all, want)
		}
	},
	"Latest_KeepsTheNewerStamp": func(f *fixture) {
		gen := f.family("a", wire.TypeGauge)
		for n, step := range []struct{ value, want string }{
			{"1 1700000000000005 0", "1 1700000000000005 0"},
			{"2 1700000000000004 0", "1 1700000000000005 0"},
			{"3 1700000000000006 1700000060000006", "3 1700000000000006 1700000060000006"},
			{"NaN 1700000000000007 0", "NaN 1700000000000007 0"},
			{"+Inf 1700000000000008 0", "+Inf 1700000000000008 0"},
		} {
			r := f.apply(batch("a", gen, uint64(n), uint64(n)+1, latest("x", step.value)))
			if got := f.series("a")["x"]; got != step.want || r.Totals[0] != step.want || r.Corrupt != 0 {
				f.Errorf("after %q: %q, total %q, %d corrupt; want %q", step.value, got, r.Totals[0], r.Corrupt, step.want)
			}
		}
		f.target.SetText(f.T, f.app, "a", "x", "junk")
		if r := f.apply(batch("a", gen, 5, 6, latest("x", "9 1 0"))); r.Corrupt != 1 || f.series("a")["x"] != "9 1 0" {
			f.Errorf("junk was replaced by %q, %d corrupt", f.series("a")["x"], r.Corrupt)
		}
	},
	"Delete_RemovesWhatIsThereAndIsNotRepeated": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "5"), add("y", "7")))
		deletion := batch("a", gen, 1, 2, deleteX, wire.Op{Kind: wire.OpDelete, Field: "absent"})
		f.apply(deletion)
		if all := f.series("a"); len(all) != 1 || all["y"] != "7" {
			f.Errorf("left is %q", all)
		}
		other := batch("a", gen, 0, 1, add("x", "2")) // a later delta counts from zero
		other.Writer = "w2"
		f.apply(other)
		if r := f.commit(deletion); r.Status != wire.CommitDuplicate {
			f.Errorf("the deletion's retry: status %d", r.Status)
		}
		wantVector(f, "what came after the deletion", f.series("a")["x"], "2")
	},
	"Clear_EmptiesAndKeepsTheGeneration": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "5"), add("y", "7")))
		reset := batch("a", gen, 1, 2, clearAll)
		f.apply(reset)
		if all := f.series("a"); len(all) != 0 {
			f.Errorf("left is %q", all)
		}
		if s := f.state("a"); s.Err != nil || s.Generation != gen {
			f.Errorf("the family is now %+v", s)
		}
		f.apply(batch("a", gen, 2, 3, add("x", "1")))
		if r := f.commit(reset); r.Status != wire.CommitDuplicate {
			f.Errorf("the reset's retry: status %d", r.Status)
		}
		wantVector(f, "the series", f.series("a")["x"], "1")
	},
	"Clear_TakesItsPlaceAmongTheOps": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "5"), add("y", "7")))
		f.apply(batch("a", gen, 1, 2, add("z", "1"), clearAll, add("x", "3")))
		if all := f.series("a"); len(all) != 1 || all["x"] != "3" {
			f.Errorf("left is %q, want x from zero", all)
		}
	},
	"Cap_FoldsNewSeriesIntoTheOverflow": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		first := capped(batch("a", gen, 0, 1, add("x", "1"), add("y", "2"), add("z", "4"), add("q", "8")), 2)
		r := f.apply(first)
		if r.Overflowed != 2 {
			f.Errorf("%d ops overflowed, want 2", r.Overflowed)
		}
		want := map[string]string{"x": "1", "y": "2", "over": "12"}
		if all := f.series("a"); !maps.Equal(all, want) {
			f.Errorf("stored %q, want %q", all, want)
		}
		if r.Totals[2] != "12" || r.Totals[3] != "12" {
			f.Errorf("totals %q, want the overflow's for both", r.Totals)
		}
		if again := f.commit(first); again.Totals[2] != "12" || again.Totals[0] != "1" {
			f.Errorf("totals of the retry %q", again.Totals)
		}
		// Existing series go on, also the overflow series.
		r = f.apply(capped(batch("a", gen, 1, 2, add("x", "1"), add("over", "1"), add("new", "1")), 2))
		if r.Overflowed != 1 {
			f.Errorf("%d ops overflowed, want 1", r.Overflowed)
		}
		want = map[string]string{"x": "2", "y": "2", "over": "14"}
		if all := f.series("a"); !maps.Equal(all, want) {
			f.Errorf("stored %q, want %q", all, want)
		}
		// Another writer may have no cap.
		f.apply(batch("a", gen, 2, 3, add("new", "1")))
		if all := f.series("a"); len(all) != 4 {
			f.Errorf("stored %q", all)
		}
	},
	"Cap_HoldsAfterADeletionInTheSameBatch": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(capped(batch("a", gen, 0, 1, add("x", "1"), add("y", "1")), 2))
		r := f.apply(capped(batch("a", gen, 1, 2, deleteX, add("new", "1"), add("z", "1")), 2))
		if all := f.series("a"); r.Overflowed != 1 || !maps.Equal(all, map[string]string{"y": "1", "new": "1", "over": "1"}) {
			f.Errorf("%d overflowed, stored %q", r.Overflowed, all)
		}
		r = f.apply(capped(batch("a", gen, 2, 3, wire.Op{Kind: wire.OpDelete, Field: "y"}, clearAll, add("p", "1"), add("q", "1"), add("r", "1")), 2))
		if all := f.series("a"); r.Overflowed != 1 || !maps.Equal(all, map[string]string{"p": "1", "q": "1", "over": "1"}) {
			f.Errorf("after a reset: %d overflowed, stored %q", r.Overflowed, all)
		}
	},
	"Cap_FoldsHistogramsAndDropsWhatIsSet": func(f *fixture) {
		h, l := f.family("h", wire.TypeHistogram), f.family("l", wire.TypeGauge)
		f.apply(capped(batch("h", h, 0, 1, add("x", "1:1 sum:1"), add("y", "1:1 sum:1"), add("z", "2:1 sum:2")), 1))
		wantVector(f, "the overflow", f.series("h")["over"], "1:1 2:1 sum:3")
		r := f.apply(capped(batch("l", l, 0, 1, latest("x", "1 5 0"), latest("y", "2 9 0"), latest("z", "3 7 0")), 1))
		if all := f.series("l"); r.Overflowed != 2 || !maps.Equal(all, map[string]string{"x": "1 5 0"}) || !slices.Equal(r.Totals, []string{"1 5 0", "", ""}) {
			f.Errorf("%d overflowed, stored %q, totals %q", r.Overflowed, all, r.Totals)
		}
	},
	"Shape_ChangesWithTheSetOfSeriesAndOnlyThen": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		version := f.state("a").SeriesVersion
		seq := uint64(0)
		for _, step := range []struct {
			name    string
			ops     []wire.Op
			changes bool
		}{
			{"a new series", []wire.Op{add("x", "1")}, true},
			{"a known series", []wire.Op{add("x", "1")}, false},
			{"a known and a new one", []wire.Op{add("x", "1"), add("y", "1")}, true},
			{"deleting nothing", []wire.Op{{Kind: wire.OpDelete, Field: "absent"}}, false},
			{"deleting", []wire.Op{deleteX}, true},
			{"one gone and one new", []wire.Op{{Kind: wire.OpDelete, Field: "y"}, add("z", "1")}, true},
			{"a reset", []wire.Op{clearAll}, true},
			{"nothing", nil, false},
		} {
			f.apply(batch("a", gen, seq, seq+1, step.ops...))
			seq++
			now := f.state("a").SeriesVersion
			if (now != version) != step.changes {
				f.Errorf("%s: series version %q, then %q", step.name, version, now)
			}
			version = now
		}
		f.target.LoseValues(f.T, f.app, "a")
		f.family("a", wire.TypeCounter)
		if now := f.state("a").SeriesVersion; now == version {
			f.Errorf("another generation has the same series version %q", now)
		}
	},
}
