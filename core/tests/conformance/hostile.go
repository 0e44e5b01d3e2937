// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// odd are texts in the place of a number that no script of shoal's writes.
var odd = []string{
	"", "abc", "-3", "1e3", "0x10", "nan", "inf", "007", " 7", "9007199254740992", strings.Repeat("9", 30), strings.Repeat("7", 400),
	strings.Repeat("1", wire.MaxText+1),
}

// hostileTests store in shoal's keys what shoal does not.
var hostileTests = map[string]func(f *redisFixture){
	// It is unknown which batches were applied. So none is applied, and the writer gets a
	// number that it never gave, until the entry is old.
	"Hostile_NumberThatIsNoneCountsAsTheLargest": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		for i, number := range odd {
			for _, entry := range []string{number, number + " 5", number + " x"} {
				if number == " 7" || entry == "" {
					entry = "x" + entry
				}
				field := "w:w" + strconv.Itoa(i)
				f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), field, entry).Err())
				c := batch("a", gen, 0, 1, add("x", "1"))
				c.Writer = field[2:]
				if r := f.commit(c); r.Status != wire.CommitDuplicate || r.Last != wire.MaxSequence {
					f.Errorf("%.40q: a commit was answered %+v", entry, r)
				}
				f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), field, entry).Err())
				if r := f.register(registration("a", c.Writer, wire.TypeCounter)); r.Last != wire.MaxSequence || r.Generation != gen {
					f.Errorf("%.40q: a registration was answered %+v", entry, r)
				}
				f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), field, entry).Err())
				f.housekeep(0)
				f.wantMended("the keys of a", 1)
				if got := f.hash(controlKey(f.app, "a"))[field]; !strings.HasPrefix(got, "9007199254740991 1") {
					f.Errorf("%.40q became %.40q", entry, got)
				}
				f.must(f.client.HDel(f.ctx, controlKey(f.app, "a"), field).Err())
			}
		}
		if all := f.series("a"); len(all) != 0 {
			f.Errorf("the series are %q", all)
		}
		f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "w:w1", "9007199254740990 5").Err())
		if r := f.commit(batch("a", gen, 1, 2, add("x", "1"))); r.Last != wire.MaxSequence-1 {
			f.Errorf("the largest number reads %+v", r)
		}
	},
	"Hostile_OddEntriesHoldNoIndex": func(f *redisFixture) {
		later := strconv.FormatInt(f.head().Now.Add(time.Hour).UnixMilli(), 10)
		entry := func(writer, deadline string) string { return writer + " " + deadline + " - - - 0 3600000" }
		set := func(field, entry string) {
			f.Helper()
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), field, entry).Err())
		}
		for _, index := range append([]string{"10000000000000000000", "2147483648", "01", "+1", "1.0", "1e1"}, odd...) {
			if _, err := strconv.ParseInt(index, 10, 32); err != nil || strings.TrimLeft(index, "0") != index {
				set("i:"+index, entry("w", later)) // the writer's own name under this index
			}
		}
		set("i:0", entry("other", strings.Repeat("9", 30)))
		set("i:1", "other "+later)
		set("i:2", strings.Repeat("x", wire.MaxLease)+" "+later+" - - - 0")
		f.take(hold("w"), 0, "")
		again := hold("w")
		again.Index = 0
		f.take(again, 0, "")
		set("i:0", "w"+strings.Repeat("x", 100)) // in place of the writer's entry
		if r := f.hold(again); r.Index != 0 || !r.Lost {
			f.Errorf("got %+v", r)
		}
		f.wantMended("the leases", 1)
		f.take(hold("w2"), 1, "")
		f.housekeep(0)
		fields := slices.Sorted(maps.Keys(f.hash(leasesKey(f.app))))
		if !slices.Equal(fields, []string{"housekept", "i:0", "i:1"}) {
			f.Errorf("left are %.200q", fields)
		}
		if n := f.mended["the leases"]; n < 15 || len(f.mended) != 1 {
			f.Errorf("replaced was %v", f.mended)
		}
	},
	"Hostile_LeaseThatSeemsToLastForDaysGoes": func(f *redisFixture) {
		far := strconv.FormatInt(f.head().Now.Add(3*24*time.Hour).UnixMilli(), 10)
		f.must(f.client.HSet(f.ctx, leasesKey(f.app),
			"i:0", "a "+far+" - - - 0 "+strings.Repeat("9", 30), "i:1", "b "+far+" - - - 0 9999999999999", "i:2", "c "+far+" - - - 0").Err())
		f.housekeep(0)
		f.take(hold("w"), 0, "")
		if l := f.living(); len(l) != 1 {
			f.Errorf("the leases are %v", l)
		}
	},
	"Hostile_PlaceOfTheNextSearchIsReplaced": func(f *redisFixture) {
		const many = 80
		for i := range many {
			f.take(hold(fmt.Sprint("w", i)), i, "")
		}
		for i, place := range []string{"", "x", "-1", "1e3", " 1", "0x10", strings.Repeat("9", 400), strings.Repeat("x", 1000), "9007199254740993", "1000000"} {
			clear(f.mended)
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), "next", place).Err())
			if r := f.hold(hold(fmt.Sprint("x", i))); r.Index < many || r.Index > 3*many || r.Fenced != "" {
				f.Errorf("%.20q: got %+v", place, r)
			}
			if next, err := f.client.HGet(f.ctx, leasesKey(f.app), "next").Int(); err != nil || next > 2*many {
				f.Errorf("%.20q: the next place is %d, %v", place, next, err)
			}
			if strings.Trim(place, "0123456789") != "" || place == "" {
				f.wantMended("the leases", 1)
			}
		}
	},
	"Hostile_RecordOfTheLineageIsReplaced": func(f *redisFixture) {
		for record, want := range map[string]string{
			"f00": "f00 1", "f00 x": "f00 1", "f00 -1": "f00 1", "x y z": "f00 1", "": "f00 1", strings.Repeat("x", 200): "f00 1",
			"f00 " + strings.Repeat("9", 30): "f00 1", "f00 0": "f00 0",
		} {
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), "lineage", record, "housekept", strings.Repeat("9", 30)).Err())
			req := hold("w")
			req.Current = "f00"
			f.hold(req)
			if got := f.hash(leasesKey(f.app))["lineage"]; !strings.HasPrefix(got, want) {
				f.Errorf("%.40q became %q, want %q", record, got, want)
			}
			f.housekeepAgain(f.store, 0, time.Hour) // no process has had the turn
			if got := f.hash(leasesKey(f.app))["housekept"]; len(got) != 13 {
				f.Errorf("housekept is %q", got)
			}
		}
	},
	"Hostile_GaugesVersionThatIsNoneIsReplaced": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		version := uint64(1)
		for _, odd := range odd {
			if odd == "007" {
				continue // 7
			}
			f.gauges(write(version, true, set("a", "1")), wire.GaugesOK)
			clear(f.mended)
			f.must(f.client.HSet(f.ctx, gaugesKey(f.app, "w"), "\xfe", odd).Err())
			f.gauges(write(version+1, false, set("a", "2")), wire.GaugesWantFull)
			f.wantMended("", 0)
			f.gauges(write(version+2, true, set("a", "2")), wire.GaugesOK)
			f.wantMended("the gauges of this process", 1)
			f.gauges(write(version+3, false, set("b", "2")), wire.GaugesOK)
			f.wantGauges(map[string]string{"a": "2", "b": "2"})
			version += 4
		}
		f.must(f.client.HSet(f.ctx, gaugesKey(f.app, "w"), "\xfe", "9007199254740991").Err())
		f.gauges(write(version, true, set("a", "1")), wire.GaugesAhead)
	},
	"Hostile_GaugesBesideTheWritersAreFound": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("a", "1"), set("b", "1")), wire.GaugesOK)
		f.must(f.client.HSet(f.ctx, gaugesKey(f.app, "w"), "x", "1", "y", "1").Err())
		w := write(2, false, set("a", "2"), set("c", "3"))
		w.Own = 3
		f.gauges(w, wire.GaugesMixed)
		f.wantMended("the gauges of this process", 2)
		w = write(3, true, set("a", "2"), set("b", "1"), set("c", "3"))
		w.Own = 3
		f.gauges(w, wire.GaugesOK)
		f.wantMended("", 0)
		f.wantGauges(map[string]string{"a": "2", "b": "1", "c": "3"})
		f.must(f.client.PExpireAt(f.ctx, gaugesKey(f.app, "w"), time.UnixMilli(1<<53)).Err())
		f.gauges(write(4, false, set("a", "1")), wire.GaugesOK)
	},
	"Hostile_DefinitionIsReplacedByAnyRegistration": func(f *redisFixture) {
		young := registration("a", "w1", wire.TypeHistogram)
		young.Born, young.Bounds = 5, []string{"1", "2"}
		gen := f.register(young).Generation
		f.apply(batch("a", gen, 0, 1, add("x", "1:1")))
		old := registration("a", "w2", wire.TypeHistogram)
		old.Born, old.Bounds = 1, []string{"3", "4"}
		f.register(old)
		if b := f.state("a").Bounds; !slices.Equal(b, young.Bounds) {
			f.Errorf("the bounds are %q", b)
		}
		many := make([]string, wire.MaxBounds+1)
		for i := range many {
			many[i] = strconv.Itoa(i)
		}
		for field, texts := range map[string][]string{
			"type": {"", "x", "Counter", strings.Repeat("x", 1<<20)}, "help": {strings.Repeat("x", wire.MaxText+1)},
			"mode": {strings.Repeat("x", 1000)}, "born": odd, "created": odd,
			"bounds": {"2 1", "1 1", "x", "1 nan", "1 0x10", "1 1e999", "-1e999", strings.Join(many, " "), strings.Repeat(" ", wire.MaxText+1)},
		} {
			for _, text := range texts {
				f.register(young)
				clear(f.mended)
				f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), field, text).Err())
				if r := f.register(old); r.Err != nil || r.Clash != "" || r.Generation != gen {
					f.Errorf("%s %.40q: registered %.200v", field, text, r)
				}
				f.wantMended("the keys of a", 1)
				want := old.Bounds
				if field == "created" {
					want = young.Bounds
				}
				if s := f.state("a"); s.Err != nil || !slices.Equal(s.Bounds, want) || s.Help != old.Help || s.Type != old.Type {
					f.Errorf("%s %.40q: it reads %.200v", field, text, s)
				}
			}
		}
		if r := f.commit(batch("a", gen, 1, 2, add("x", "1:1"))); r.Status != wire.CommitOK || r.Totals[0] != "1:2" {
			f.Errorf("the next batch: %+v", r)
		}
	},
	"Hostile_GenerationThatIsNoneBeginsAnother": func(f *redisFixture) {
		for _, name := range []string{"", "a b", "a\nb", "\xff", strings.Repeat("x", 1000)} {
			gen := f.family("a", wire.TypeCounter)
			f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "gen", name).Err())
			f.must(f.client.HSet(f.ctx, valuesKey(f.app, "a"), "\xfe", name).Err())
			if r := f.commit(batch("a", gen, 0, 1, add("x", "1"))); r.Status != wire.CommitUnknown {
				f.Errorf("status %d", r.Status)
			}
			if r := f.register(registration("a", "w1", wire.TypeCounter)); r.Generation == name || r.Generation == gen || !r.Orphan {
				f.Errorf("registered %.200v", r)
			}
			f.wantMended("the keys of a", 1)
		}
	},
	// Each batch reads the control hash, so a long text does not stay in it.
	"Hostile_LongSeriesVersionIsReplaced": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		for i, shape := range []string{strings.Repeat("9", 1000), strings.Repeat("x", 1<<20), strings.Repeat("9", 30)} {
			f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "shape", shape).Err())
			f.apply(batch("a", gen, uint64(i)+1, uint64(i)+2, add("x", "1"), add("y"+strconv.Itoa(i), "1")))
			if got := f.hash(controlKey(f.app, "a"))["shape"]; len(got) > 60 || got == shape {
				f.Errorf("the shape is %.80q", got)
			}
		}
	},
	"Hostile_WrongTypesAreReplaced": func(f *redisFixture) {
		for _, put := range []func(key string) error{
			func(key string) error { return f.client.Set(f.ctx, key, "x", 0).Err() },
			func(key string) error { return f.client.RPush(f.ctx, key, "x").Err() },
			func(key string) error { return f.client.SAdd(f.ctx, key, "x").Err() },
			func(key string) error {
				return f.client.XAdd(f.ctx, &redis.XAddArgs{Stream: key, Values: []string{"a", "b"}}).Err()
			},
		} {
			replace := func(key string) {
				f.Helper()
				f.must(f.client.Del(f.ctx, key).Err())
				f.must(put(key))
				clear(f.mended)
			}
			f.take(hold("w"), 0, "")
			f.gauges(write(1, true, set("a", "1")), wire.GaugesOK)
			replace(gaugesKey(f.app, "w"))
			f.gauges(write(2, false, set("a", "1")), wire.GaugesWantFull)
			f.wantMended("the gauges of this process", 1)
			f.gauges(write(2, true, set("a", "1")), wire.GaugesOK)

			replace(leasesKey(f.app))
			f.gauges(write(3, false, set("a", "1")), wire.GaugesLostLease)
			f.release("x", 0)
			again := hold("w")
			again.Index = 0
			if r := f.hold(again); r.Index != 0 || !r.Lost {
				f.Errorf("held %+v", r)
			}
			f.wantMended("the leases", 1)

			f.family("a", wire.TypeCounter)
			replace(familiesKey(f.app))
			f.family("b", wire.TypeCounter)
			f.wantMended("the list of families", 1)
			if names := f.head().Families; !slices.Equal(names, []string{"b"}) {
				f.Errorf("the families are %q", names)
			}
			f.family("a", wire.TypeCounter)
			replace(controlKey(f.app, "a"))
			f.housekeep(0) // leaves the repair to the writer
			f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Score: 1, Member: "a"}).Err())
			f.housekeep(time.Hour) // unless there is none
			if f.client.Exists(f.ctx, controlKey(f.app, "a"), valuesKey(f.app, "a")).Val() != 0 {
				f.Error("the family is still there")
			}
			f.release("w", 0)
		}
	},
	"Hostile_NamesThatAreNoneGoOffTheList": func(f *redisFixture) {
		gen := f.family("good:name_1", wire.TypeCounter)
		f.family("another", wire.TypeCounter)
		now := float64(f.head().Now.UnixMilli())
		for i, name := range []string{"", "a b", "9a", "a\nb", "a-b", "é", "\xff", "a/b", strings.Repeat("a", wire.MaxName+1)} {
			f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Score: now - float64(i*1e12) + 3e12, Member: name}).Err())
		}
		inf, err := strconv.ParseFloat("inf", 64)
		f.must(err)
		for name, score := range map[string]float64{
			"long_ago": 1, "never": inf, "before": -inf, "far": 1e300, "just": now - 60e3, "overdue": now - 11*60e3,
		} {
			f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Score: score, Member: name}).Err())
		}
		f.housekeep(0)
		f.wantMended("the list of families", 9)
		names := f.head().Families
		slices.Sort(names)
		if !slices.Equal(names, []string{"another", "good:name_1", "just"}) {
			f.Errorf("left are %.200q", names)
		}
		f.apply(batch("good:name_1", gen, 0, 1, add("x", "1")))
	},
}

// vectorTests store texts in place of a series' value.
var vectorTests = map[string]func(f *fixture){
	"Vector_TextThatNoPageCanReadIsReplaced": func(f *fixture) {
		gen := f.family("a", wire.TypeHistogram)
		full := func(component string, n int) string {
			return strings.TrimSuffix(strings.Repeat(component+" ", n/(len(component)+1)), " ")
		}
		seq := uint64(0)
		for _, delta := range []string{"1:1 sum:2", "count:1 sum:2", "5"} {
			for _, text := range []string{
				strings.Repeat("a", 1000), strings.Repeat(":", 1000), strings.Repeat(" ", 1000), full("a:1", 1000), full("1:1", wire.MaxText+100),
				strings.Repeat("0", wire.MaxText) + "1", "1:1 sum:" + strings.Repeat("0", wire.MaxText) + "1",
				"evil:1", "1:-5 sum:1", "sum:1 count:-5", "1:1 evil:1", "1:1 2:-1", "1:1 2:" + strings.Repeat("9", 400), "1:1 2:", "1:1 :2", "1:1  2:1",
				"1:1 nan:1", "1:1 Inf:1", "1:1 0x10:1", "1:1 2:1:1", "1:1 ", " 1:1", "+Inf:-1", strings.Repeat("-+", 500), "sum:x",
			} {
				f.target.SetText(f.T, f.app, "a", "x", text)
				for n := range 300 { // what a delta does not name is checked only in some batches
					seq++
					r := f.commit(batch("a", gen, seq-1, seq, add("x", delta)))
					if r.Status != wire.CommitOK || r.Corrupt > 1 {
						f.Fatalf("%.60q: %+v", text, r)
					}
					if r.Corrupt == 1 {
						wantVector(f.T, "after "+strconv.Quote(text[:min(len(text), 40)]), f.series("a")["x"], delta)
						break
					}
					if n == 299 {
						f.Errorf("%.60q stays under %s", text, delta)
					}
				}
			}
		}
	},
	"Vector_SumIsNotLongerThanAText": func(f *fixture) {
		gen := f.family("a", wire.TypeHistogram)
		text := "1:1"
		for i := 2; len(text) < wire.MaxText-220; i++ {
			text += " " + strconv.Itoa(i) + "." + strings.Repeat("0", 200) + ":1"
		}
		f.target.SetText(f.T, f.app, "a", "x", text)
		if r := f.apply(batch("a", gen, 0, 1, add("x", "1:1"))); r.Corrupt != 0 || len(r.Totals[0]) != len(text) {
			f.Errorf("%d corrupt, and %d bytes of %d", r.Corrupt, len(r.Totals[0]), len(text))
		}
		delta := "0." + strings.Repeat("0", 220) + "1:1 sum:0.1"
		if r := f.apply(batch("a", gen, 1, 2, add("x", delta))); r.Corrupt != 1 {
			f.Errorf("%d corrupt", r.Corrupt)
		}
		wantVector(f.T, "the series", f.series("a")["x"], delta)
	},
	"Vector_LongLatestIsReplaced": func(f *fixture) {
		r := registration("a", "w1", wire.TypeGauge)
		r.Mode = wire.ModeLatest
		gen := f.register(r).Generation
		now := f.head().Now.UnixMicro()
		for i, text := range []string{
			strings.Repeat("1", wire.MaxText) + " " + strconv.FormatInt(now, 10) + " 0", strings.Repeat("x ", 1000), "1 " + strings.Repeat("9", 400) + " 0",
		} {
			f.target.SetText(f.T, f.app, "a", "x", text)
			set := wire.Op{Kind: wire.OpLatest, Field: "x", Value: "7 1 0"}
			f.apply(batch("a", gen, uint64(i), uint64(i)+1, set))
			if got := f.series("a")["x"]; got != set.Value {
				f.Errorf("%.40q became %.40q", text, got)
			}
		}
	},
}
