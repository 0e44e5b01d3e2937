// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strconv"
	"sync"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var commitTests = map[string]func(f *fixture){
	"Commit_StatesAreCheckedInOrder": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 3, add("x", "1"))) // 1 and 2 are missing
		for _, step := range []struct {
			name       string
			generation string
			prev, seq  uint64
			want       wire.CommitStatus
			last       uint64
		}{
			{"another generation", "other", 3, 4, wire.CommitUnknown, 0},
			{"another generation of a duplicate", "other", 0, 3, wire.CommitUnknown, 0},
			{"the same again", gen, 0, 3, wire.CommitDuplicate, 3},
			{"an older number", gen, 1, 2, wire.CommitDuplicate, 3},
			{"an older number with a right prev", gen, 3, 3, wire.CommitDuplicate, 3},
			{"prev too high", gen, 4, 5, wire.CommitGap, 3},
			{"prev too low", gen, 2, 4, wire.CommitGap, 3},
			{"prev 0", gen, 0, 4, wire.CommitGap, 3},
			{"the next", gen, 3, 4, wire.CommitOK, 4},
			{"a jump", gen, 4, 9, wire.CommitOK, 9},
		} {
			reply := f.commit(batch("a", step.generation, step.prev, step.seq, add("x", "1")))
			if reply.Status != step.want || reply.Last != step.last {
				f.Errorf("%s: status %d with last %d, want %d with %d",
					step.name, reply.Status, reply.Last, step.want, step.last)
			}
		}
		wantVector(f, "the series", f.series("a")["x"], "3")
	},
	"Commit_UnregisteredFamilyIsUnknown": func(f *fixture) {
		if r := f.commit(batch("a", "some", 0, 1, add("x", "1"))); r.Status != wire.CommitUnknown {
			f.Errorf("status %d", r.Status)
		}
		if all := f.series("a"); len(all) != 0 {
			f.Errorf("it left %q", all)
		}
	},
	"Commit_LostKeyIsUnknown": func(f *fixture) {
		for name, lose := range map[string]func(){
			"control": func() { f.target.LoseControl(f.T, f.app, "control") },
			"values":  func() { f.target.LoseValues(f.T, f.app, "values") },
		} {
			gen := f.family(name, wire.TypeCounter)
			f.apply(batch(name, gen, 0, 1, add("x", "1")))
			lose()
			for _, seq := range []uint64{1, 2} {
				if r := f.commit(batch(name, gen, seq-1, seq, add("x", "1"))); r.Status != wire.CommitUnknown {
					f.Errorf("without %s, number %d: status %d", name, seq, r.Status)
				}
			}
		}
	},
	"Commit_EmptyVerifies": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 2, add("x", "1")))
		version := f.state("a").SeriesVersion
		for _, step := range []struct {
			generation string
			number     uint64
			want       wire.CommitStatus
		}{
			{gen, 2, wire.CommitDuplicate},
			{gen, 1, wire.CommitDuplicate},
			{gen, 0, wire.CommitDuplicate},
			{gen, 3, wire.CommitGap},
			{"other", 2, wire.CommitUnknown},
		} {
			r := f.commit(batch("a", step.generation, step.number, step.number))
			if r.Status != step.want || step.want != wire.CommitUnknown && r.Last != 2 {
				f.Errorf("verifying %d: status %d with last %d", step.number, r.Status, r.Last)
			}
		}
		if f.state("a").SeriesVersion != version {
			f.Error("a verification changed the series version")
		}
		wantVector(f, "the series", f.series("a")["x"], "1")
	},
	"Commit_WritersCountApart": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		for _, writer := range []string{"w1", "w2", "w"} {
			c := batch("a", gen, 0, 1, add("x", "1"))
			c.Writer = writer
			f.apply(c)
		}
		wantVector(f, "the series", f.series("a")["x"], "3")
	},
	"Commit_ConsecutiveBatchesTravelTogether": func(f *fixture) {
		a, b := f.family("a", wire.TypeCounter), f.family("b", wire.TypeCounter)
		replies := f.store.Commit(f.ctx, []wire.Commit{
			batch("a", a, 0, 1, add("x", "1")),
			batch("a", a, 1, 2, add("x", "1")),
			batch("a", a, 3, 4, add("x", "1")),
			batch("b", b, 0, 1, add("x", "10")),
			batch("b", b, 1, 2, add("x", "10")),
		})
		want := []wire.CommitStatus{wire.CommitOK, wire.CommitOK, wire.CommitGap, wire.CommitOK, wire.CommitOK}
		if len(replies) != len(want) {
			f.Fatalf("%d replies", len(replies))
		}
		for i, r := range replies {
			if r.Err != nil || r.Status != want[i] {
				f.Errorf("batch %d: %+v, want status %d", i, r, want[i])
			}
		}
		wantVector(f, "the first family's series", f.series("a")["x"], "2")
		wantVector(f, "the second family's series", f.series("b")["x"], "20")
	},
	"Commit_TotalsIncludeTheBatchAndAnswerARetry": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "40")))
		second := batch("a", gen, 1, 2, add("x", "2"), add("y", "0.5"), wire.Op{Kind: wire.OpDelete, Field: "z"})
		first := f.apply(second)
		f.apply(batch("a", gen, 2, 3, add("x", "1")))
		again := f.commit(second)
		for name, reply := range map[string]struct {
			wire.CommitReply
			x string
		}{"now": {first, "42"}, "as it is later": {again, "43"}} {
			if len(reply.Totals) != 3 {
				f.Fatalf("%s: totals %q", name, reply.Totals)
			}
			wantVector(f, "the total "+name, reply.Totals[0], reply.x)
			wantVector(f, "the total "+name, reply.Totals[1], "0.5")
			if reply.Totals[2] != "" {
				f.Errorf("the total of a deletion is %q", reply.Totals[2])
			}
		}
		third := batch("a", gen, 3, 4, add("x", "1"))
		third.Totals = false
		if r := f.apply(third); len(r.Totals) != 0 {
			f.Errorf("totals %q that nobody asked for", r.Totals)
		}
	},
	"Commit_MalformedBatchIsRefusedWhole": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		for _, op := range []wire.Op{
			add("y", ""), add("y", "one"), add("y", "NaN"), add("y", "+Inf"), add("y", "0x10"), add("y", "1 "),
			add("y", "1e999"), add("y", "a:1 b"), add("y", "a:1  b:2"), add("y", ":1"), add("y", "a:"), add("y", "1e"), add("y", "1,1"),
			{Kind: wire.OpLatest, Field: "y", Value: "1"}, {Kind: '?', Field: "y", Value: "1"},
		} {
			c := batch("a", gen, 1, 2, wire.Op{Kind: wire.OpDelete, Field: "x"}, add("z", "1"), op)
			r := f.store.Commit(f.ctx, []wire.Commit{c})[0]
			if r.Err == nil || !wire.Refused(r.Err) {
				f.Errorf("%c %q: %+v, want a refusal", op.Kind, op.Value, r)
			}
		}
		if all := f.series("a"); len(all) != 1 || all["x"] != "1" {
			f.Errorf("the refused batches left %q", all)
		}
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
	},
	"Commit_LargeNumbersStayExact": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		const big = 1<<53 - 2
		f.apply(batch("a", gen, 0, big, add("x", "1")))
		if r := f.commit(batch("a", gen, big, big+1, add("x", "1"))); r.Status != wire.CommitOK || r.Last != big+1 {
			f.Errorf("the next of %d: %+v", uint64(big), r)
		}
		if r := f.register(registration("a", "w1", wire.TypeCounter)); r.Last != big+1 {
			f.Errorf("last is %d, want %d", r.Last, uint64(big+1))
		}
	},
	"Commit_WideBatchIsOneStep": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		const wide = 5000 // more than a script can unpack at once
		ops := make([]wire.Op, wide)
		for i := range ops {
			ops[i] = add("x"+strconv.Itoa(i), strconv.Itoa(i))
		}
		r := f.apply(batch("a", gen, 0, 1, ops...))
		if len(r.Totals) != wide || r.Totals[wide-1] != strconv.Itoa(wide-1) {
			f.Errorf("%d totals, the last %q", len(r.Totals), r.Totals[len(r.Totals)-1])
		}
		if all := f.series("a"); len(all) != wide || all["x4321"] != "4321" {
			f.Errorf("%d series, x4321 is %q", len(all), all["x4321"])
		}
		for i := range ops {
			ops[i] = wire.Op{Kind: wire.OpDelete, Field: ops[i].Field}
		}
		f.apply(batch("a", gen, 1, 2, ops...))
		if all := f.series("a"); len(all) != 0 {
			f.Errorf("%d series are left", len(all))
		}
		f.apply(batch("a", gen, 2, 3, add("x", "1"))) // the family itself still exists
	},
	"Commit_ConcurrentWritersLoseNothing": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		const writers, batches = 8, 25
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range uint64(batches) {
					c := batch("a", gen, n, n+1, add("x", "1"), add("y"+strconv.Itoa(w), "1"))
					c.Writer = "w" + strconv.Itoa(w)
					r := f.store.Commit(f.ctx, []wire.Commit{c})[0]
					if r.Err != nil || r.Status != wire.CommitOK {
						f.Errorf("writer %d, batch %d: %+v", w, n, r)
						return
					}
				}
			})
		}
		wg.Wait()
		all := f.series("a")
		wantVector(f, "the shared series", all["x"], strconv.Itoa(writers*batches))
		if len(all) != 1+writers {
			f.Errorf("%d series, want %d", len(all), 1+writers)
		}
	},
}
