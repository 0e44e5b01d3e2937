// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// damageTests replace shoal's keys by others, or remove what the server had.
var damageTests = map[string]func(f *redisFixture){
	"Damage_WrongTypedKeysAreReplacedAndSpoilNoOthers": func(f *redisFixture) {
		good := f.family("good", wire.TypeCounter)
		f.apply(batch("good", good, 0, 1, add("x", "1")))
		for name, key := range map[string]string{"ctl": controlKey(f.app, "ctl"), "v": valuesKey(f.app, "v")} {
			gen := f.family(name, wire.TypeCounter)
			f.apply(batch(name, gen, 0, 1, add("x", "1")))
			f.must(f.client.Del(f.ctx, key).Err())
			f.must(f.client.Set(f.ctx, key, "a stranger's", 0).Err())

			replies := f.store.Commit(f.ctx, []wire.Commit{
				batch(name, gen, 1, 2, add("x", "1")),
				batch("good", good, 1, 1),
			})
			if replies[0].Err != nil || replies[0].Status != wire.CommitUnknown {
				f.Errorf("%s: the commit was answered by %+v", name, replies[0])
			}
			if got := f.client.Get(f.ctx, key).Val(); got != "a stranger's" {
				f.Errorf("%s: after a commit the stranger's key holds %q", name, got)
			}
			states, err := f.store.ReadFamilies(f.ctx, []string{name, "good"})
			if err != nil || states[0].Err == nil || states[1].Err != nil {
				f.Errorf("%s: read %+v, %v", name, states, err)
			}
			if _, err := wire.ScanSeries(f.ctx, f.store, name, wire.MaxPage); name == "v" && err == nil {
				f.Error("a string was scanned")
			}
			series, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{
				{Family: name, Fields: []string{"x"}}, {Family: "good", Fields: []string{"x"}},
			}, wire.MaxPage)
			if err != nil || name == "v" && series[0].Err == nil || series[1].Err != nil || series[1].Values[0].Text != "1" {
				f.Errorf("%s: read %+v, %v", name, series, err)
			}
			if replies[1].Status != wire.CommitDuplicate {
				f.Errorf("%s: the other family's commit was answered by %+v", name, replies[1])
			}
			registered := f.store.Register(f.ctx, []wire.Registration{
				registration(name, "w1", wire.TypeCounter), registration("good", "w1", wire.TypeCounter),
			})
			if r := registered[0]; r.Err != nil || r.Generation == gen || r.Last != 0 || r.Orphan != (name == "ctl") {
				f.Errorf("%s: the registration was answered by %+v", name, r)
			}
			f.wantMended("the keys of "+name, 1)
			f.apply(batch(name, registered[0].Generation, 0, 1, add("x", "1")))
			if registered[1].Err != nil || registered[1].Last != 1 {
				f.Errorf("%s: the other registration was answered by %+v", name, registered[1])
			}
		}
		// The family that lost its control hash still has its series.
		if x := f.client.HGet(f.ctx, valuesKey(f.app, "ctl"), "x").Val(); x != "2" {
			f.Errorf("the series is %q, want 2", x)
		}
	},
	"Damage_WrongTypedGaugesSpoilNoOthers": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		f.must(f.client.Set(f.ctx, gaugesKey(f.app, "stranger"), "x", 0).Err())
		lists, err := f.store.ReadGauges(f.ctx, []string{"stranger", "w"})
		if err != nil || lists[0].Err == nil || len(lists[0].Entries) != 0 || len(lists[1].Entries) != 1 {
			f.Errorf("read %v, %v", lists, err)
		}
	},
	"Damage_StrangersKeyInPlaceOfValuesIsUnknown": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.must(f.client.Del(f.ctx, valuesKey(f.app, "a")).Err())
		f.must(f.client.HSet(f.ctx, valuesKey(f.app, "a"), "x", "100").Err())
		if r := f.commit(batch("a", gen, 0, 1, add("x", "1"))); r.Status != wire.CommitUnknown {
			f.Errorf("status %d", r.Status)
		}
	},
	"Damage_ForeignLeasesHoldNoIndex": func(f *redisFixture) {
		f.must(f.client.HSet(f.ctx, leasesKey(f.app),
			"i:0", "junk", "i:x", "w 99999999999999 - - - 0", "other", "", "i:1", "").Err())
		f.take(hold("w"), 0, "")
		if l := f.living(); len(l) != 1 || l[0] != "w" {
			f.Errorf("the leases are %v", l)
		}
		f.housekeep(0)
		if l := f.living(); len(l) != 1 {
			f.Errorf("the leases are %v", l)
		}
	},
	"Scripts_FlushedAreLoadedAgain": func(f *redisFixture) {
		flush := func() {
			f.Helper()
			f.must(f.client.ScriptFlush(f.ctx).Err())
		}
		flush()
		a, b := f.family("a", wire.TypeCounter), f.family("b", wire.TypeCounter)
		flush()
		replies := f.store.Commit(f.ctx, []wire.Commit{
			batch("a", a, 0, 1, add("x", "1")),
			batch("a", a, 1, 2, add("x", "1")),
			batch("b", b, 0, 1, add("x", "1")),
			batch("b", b, 1, 2, add("x", "1")),
		})
		for i, r := range replies {
			if r.Err != nil || r.Status != wire.CommitOK {
				f.Errorf("batch %d: %+v", i, r)
			}
		}
		flush()
		f.take(hold("w"), 0, "")
		flush()
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		flush()
		if g := f.readGauges("w"); len(g) != 1 {
			f.Errorf("the gauges are %v", g)
		}
		flush()
		f.housekeep(retention)
		flush()
		f.release("w", 0)
		if all := f.series("a"); all["x"] != "2" {
			f.Errorf("the series are %q", all)
		}
	},
}
