// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// shape is the stored series version of the family a.
func (f *redisFixture) shape() string {
	f.Helper()
	return f.hash(controlKey(f.app, "a"))["shape"]
}

// logged are the fields of the control hash that are entries of the log.
func (f *redisFixture) logged() map[string]string {
	f.Helper()
	all := f.hash(controlKey(f.app, "a"))
	maps.DeleteFunc(all, func(field, _ string) bool { return !strings.HasPrefix(field, "c:") })
	return all
}

// stepBack returns a function that puts back what the keys of the family a have now.
func (f *redisFixture) stepBack() (restore func()) {
	f.Helper()
	keys := []string{controlKey(f.app, "a"), valuesKey(f.app, "a"), marksKey(f.app, "a")}
	had := make([]map[string]string, len(keys))
	for i, key := range keys {
		had[i] = f.hash(key)
	}
	return func() {
		for i, key := range keys {
			f.must(f.client.Del(f.ctx, key).Err())
			f.must(f.client.HSet(f.ctx, key, had[i]).Err())
		}
	}
}

// tick lets time pass where it does not by itself: without it, equal numbers are equal versions.
func (f *redisFixture) tick() {
	if f.target.Advance != nil {
		f.target.Advance(f.T, time.Millisecond)
	}
}

var changeDamageTests = map[string]func(f *redisFixture){
	"Stored_ChangesAreEntriesOfTheVersionsBeforeAndAfterAndTheFields": func(f *redisFixture) {
		gen := f.largeFamily()
		one := f.shape()
		if got := f.logged(); !strings.HasPrefix(one, "1 ") || len(got) > 0 {
			f.Errorf("after the first batch the shape is %q, and the log %q", one, got)
		}
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		two := f.shape()
		f.apply(batch("a", gen, 2, 3, deletion("x")))
		three := f.shape()
		want := map[string]string{"c:2": one + "\xfe" + two + "\xfex", "c:3": two + "\xfe" + three + "\xfex"}
		if got := f.logged(); !maps.Equal(got, want) {
			f.Errorf("the log is %q, want %q", got, want)
		}

		f.setControl("shape", "255 1.5") // the numbers of the next two are 256 and 257
		a, b := strings.Repeat("a", 1500), strings.Repeat("b", 1500)
		f.apply(batch("a", gen, 3, 4, add(a, "1"), add(b, "1")))
		last := f.shape()
		count, at, _ := strings.Cut(last, " ")
		middle := "256 " + at
		first, second := a, b
		if !strings.HasSuffix(f.logged()["c:0"], first) {
			first, second = b, a
		}
		want["c:0"], want["c:1"] = "255 1.5\xfe"+middle+"\xfe"+first, middle+"\xfe"+last+"\xfe"+second
		if got := f.logged(); count != "257" || !maps.Equal(got, want) {
			f.Errorf("at %q the log is %q", last, got)
		}
		f.wantChanges(gen+" 255 1.5", a, b)
	},
	"Stored_LogHasAtMost256EntriesOf2KiB": func(f *redisFixture) {
		gen := f.largeFamily()
		for n := range uint64(6) {
			var ops []wire.Op
			for i := range 300 {
				ops = append(ops, add(strconv.Itoa(int(n)*1000+i)+strings.Repeat("x", 300+i), "1"))
			}
			f.apply(batch("a", gen, 1+n, 2+n, ops...))
		}
		log, longest := f.logged(), 0
		for _, entry := range log {
			longest = max(longest, len(entry))
		}
		if len(log) != wire.ChangesKept || longest > wire.MaxChange || longest < wire.MaxChange-600 {
			f.Errorf("%d entries of up to %d bytes", len(log), longest)
		}
	},
	"Changes_AfterAStepBackAreUnknown": func(f *redisFixture) {
		gen := f.largeFamily()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		common := f.version()
		restore := f.stepBack()
		var lost []string
		for n := range uint64(4) {
			f.apply(batch("a", gen, 2+n, 3+n, add(numberedField(5000+int(n)), "1")))
			lost = append(lost, f.version())
		}
		restore()
		f.tick()
		f.wantUnknown("a later version", lost[0])
		var came []string
		for n := range uint64(6) {
			came = append(came, numberedField(6000+int(n)))
			f.apply(batch("a", gen, 2+n, 3+n, add(came[n], "1")))
			for _, version := range lost {
				f.wantUnknown("a version that Redis has lost", version)
				if got := f.changesBetween(common, version); got.Known {
					f.Errorf("up to a version that Redis has lost: %s", brief(got))
				}
			}
			f.wantChanges(common, slices.Clone(came)...)
		}
	},
	"Changes_OfAFormerClientAreUnknown": func(f *redisFixture) {
		gen := f.largeFamily()
		f.formerRegister()
		first := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		second := f.version()
		f.formerCommit(gen, 0, 1, "+", "old", "2")
		third := f.version()
		f.apply(batch("a", gen, 2, 3, add("y", "1")))
		for _, since := range []string{first, second} {
			f.wantUnknown("a former client created a series", since)
		}
		f.wantChanges(third, "y")
		for _, op := range []string{"-", "*"} {
			before := f.version()
			f.formerCommit(gen, map[string]int{"-": 1, "*": 2}[op], map[string]int{"-": 2, "*": 3}[op], op, "old", "")
			f.wantUnknown("a former client deleted", before)
		}
		f.apply(batch("a", gen, 3, 4, append(numbered(0, wire.LargeFamily+1), add("x", "1"))...))
		last := f.version()
		f.apply(batch("a", gen, 4, 5, add("z", "1")))
		f.wantChanges(last, "z")
		f.wantUnknown("a former client cleared the family", third)
	},
	// Numbers that come a second time must not lead over an entry of the first time.
	"Changes_OverAnOldEntryOfTheSameNumberAreUnknown": func(f *redisFixture) {
		gen := f.largeFamily()
		f.formerRegister()
		for n := range uint64(5) {
			f.apply(batch("a", gen, 1+n, 2+n, add(numberedField(5000+int(n)), "1")))
		}
		f.setControl("shape", "damaged")
		f.tick()
		f.apply(batch("a", gen, 6, 7, add("x", "1"))) // 1
		since := f.version()
		f.apply(batch("a", gen, 7, 8, add("y", "1"))) // 2
		f.wantChanges(since, "y")
		f.formerCommit(gen, 0, 1, "+", "old", "1")    // 3
		f.apply(batch("a", gen, 8, 9, add("z", "1"))) // 4
		f.wantUnknown("3 is an old entry", since)
	},
	"Hostile_DamagedEntriesOfTheLogAreNotBelieved": func(f *redisFixture) {
		gen := f.largeFamily()
		first := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		middle := f.version()
		f.apply(batch("a", gen, 2, 3, add("y", "1")))
		good := f.logged()["c:2"]
		parts := strings.Split(good, "\xfe")
		for what, entry := range map[string]string{
			"empty": "", "no fields": parts[0] + "\xfe" + parts[1], "no version": parts[0], "garbage": "\xfe\xfe\xfe", "one byte": "\xfe",
			"too long": good + "\xfe" + strings.Repeat("x", wire.MaxChange), "much too long": good + strings.Repeat("\xfex", 1<<19),
			"other version before": "1 1.1\xfe" + parts[1] + "\xfex", "other version after": parts[0] + "\xfe2 1.1\xfex", "the overlong sign": wire.Overlong,
		} {
			f.setControl("c:2", entry)
			for range 2 { // the second reading knows that there is a long text
				f.wantUnknown(what, first)
				f.wantChanges(middle, "y")
			}
		}
		f.must(f.client.HDel(f.ctx, controlKey(f.app, "a"), "c:2").Err())
		f.wantUnknown("missing", first)
		f.setControl("c:2", good)
		f.wantChanges(first, "x", "y")
		f.setControl("c:2", parts[0]+"\xfe"+parts[1]+"\xfe") // names the series without labels
		f.wantChanges(first, "", "y")
	},
	"Hostile_FullLogOfLongTextsIsBounded": func(f *redisFixture) {
		gen := f.largeFamily()
		first := f.version()
		for n := range wire.ChangesKept {
			f.setControl("c:"+strconv.Itoa(n), strings.Repeat("x", wire.MaxText))
		}
		_, shape, _ := strings.Cut(first, " ")
		now := fmt.Sprintf("%s %d 5.5", gen, 1+wire.ChangesKept)
		if got := f.changesBetween(gen+" "+shape, now); got.Known {
			f.Errorf("16 MiB of garbage: %s", brief(got))
		}
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		f.wantChanges(first, "x")
	},
	"Hostile_LogOfAnotherTypeOfKeyIsAnError": func(f *redisFixture) {
		gen := f.largeFamily()
		f.must(f.client.Del(f.ctx, controlKey(f.app, "a")).Err())
		f.must(f.client.Set(f.ctx, controlKey(f.app, "a"), "x", 0).Err())
		replies, err := f.store.ReadChanges(f.ctx, []wire.ChangesQuery{
			{Family: "a", Since: gen + " 1 1.1", Now: gen + " 2 1.1"}, {Family: "b", Since: gen + " 1 1.1", Now: gen + " 2 1.1"},
		})
		if err != nil || len(replies) != 2 || !wire.Damaged(replies[0].Err) || replies[0].Known || replies[1].Err != nil || replies[1].Known {
			f.Errorf("%+v, %v", replies, err)
		}
	},
	"Hostile_DamagedVersionsAreReplacedAndUnknown": func(f *redisFixture) {
		gen := f.largeFamily()
		seq := uint64(1)
		for _, shape := range []string{
			"", "x", "5", "5 ", "5 x", "-5 1.1", "5.5 1.1", "5 1.1 ", "5 1.1\xfex", "\xfe", strings.Repeat("1", 98), strings.Repeat("9", 90) + " 1.1",
			"9007199254740991 1.1", "4503599627370496 1.1", "1e3 1.1",
		} {
			f.setControl("shape", shape)
			before := f.version()
			f.apply(batch("a", gen, seq, seq+1, add(numberedField(5000+int(seq)), "1")))
			f.wantUnknown(fmt.Sprintf("the shape was %q", shape), before)
			after := f.version()
			if count, _, _ := strings.Cut(f.shape(), " "); len(count) > 4 {
				f.Errorf("after %q the shape is %q", shape, f.shape())
			}
			seq++
			f.apply(batch("a", gen, seq, seq+1, add(numberedField(5000+int(seq)), "1")))
			f.wantChanges(after, numberedField(5000+int(seq)))
			seq++
		}
	},
	"Hostile_HousekeepingAndRegistrationLeaveTheLogAlone": func(f *redisFixture) {
		gen := f.largeFamily()
		before := f.version()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		for field, text := range map[string]string{"c:": "", "c:x": "x", "c:7": "\xfe\xff", "c:999999": "1 2", "c:8": strings.Repeat("x", 1<<20)} {
			f.setControl(field, text)
		}
		had := f.logged()
		f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "w:gone", "1 "+f.ago(2*wire.SequenceAge)).Err())
		f.housekeep(retention)
		f.register(registration("a", "w2", wire.TypeCounter))
		f.mark("a", gen, "x")
		if got := f.logged(); !maps.Equal(got, had) {
			f.Errorf("the log of %d entries has become one of %d", len(had), len(got))
		}
		if _, there := f.hash(controlKey(f.app, "a"))["w:gone"]; there {
			f.Error("the sequence number of a writer that is gone is left")
		}
		f.wantMended("", 0)
		f.wantChanges(before, "x")
	},
	"Changes_LeaveWithTheGeneration": func(f *redisFixture) {
		gen := f.largeFamily()
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		f.target.LoseValues(f.T, f.app, "a")
		f.family("a", wire.TypeCounter)
		if got := f.logged(); len(got) > 0 {
			f.Errorf("left are %q", got)
		}
	},
}
