// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// storedTests fix what the keys contain, since other versions, clients in other languages and
// people with redis-cli read it.
var storedTests = map[string]func(f *redisFixture){
	"Stored_FamilyIsReadable": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeHistogram)
		r.Born, r.Bounds = 1700000000000123, []string{"0.5", "1", "1e+06"}
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 7, add("k\xffv", "0.5:1 sum:0.25")))

		control := f.hash(controlKey(f.app, "a"))
		fields := slices.Sorted(maps.Keys(control))
		if want := []string{"born", "bounds", "created", "epoch", "gen", "help", "mode", "retention", "shape", "touched", "type", "w:w1"}; !slices.Equal(fields, want) {
			f.Errorf("the control hash has the fields %q, want %q", fields, want)
		}
		for field, want := range map[string]string{
			"gen": r.Nonce + "-" + control["created"], "type": "histogram", "help": "Help of a.", "mode": "",
			"bounds": "0.5 1 1e+06", "born": "1700000000000123", "retention": "2592000000", "epoch": "0 " + control["touched"],
		} {
			if control[field] != want {
				f.Errorf("%s is %q, want %q", field, control[field], want)
			}
		}
		now := f.head().Now.Unix()
		seq, stamp, _ := strings.Cut(control["w:w1"], " ")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if seq != "7" || err != nil || seconds > now || seconds < now-60 {
			f.Errorf("the writer's number is %q at %d", control["w:w1"], now)
		}
		values := f.hash(valuesKey(f.app, "a"))
		if !maps.Equal(values, map[string]string{"\xfe": gen, "k\xffv": "0.5:1 sum:0.25"}) {
			f.Errorf("the values are %q", values)
		}
		if names := f.client.ZRange(f.ctx, familiesKey(f.app), 0, -1).Val(); !slices.Equal(names, []string{"a"}) {
			f.Errorf("the families are %q", names)
		}
	},
	"Stored_OrphanFlagOnlyWhenOrphaned": func(f *redisFixture) {
		f.family("a", wire.TypeCounter)
		f.target.LoseControl(f.T, f.app, "a")
		f.family("a", wire.TypeCounter)
		if flag := f.hash(controlKey(f.app, "a"))["orphan"]; flag != "1" {
			f.Errorf("the flag is %q", flag)
		}
	},
	"Stored_ResetNeverRemovesTheKey": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.apply(batch("a", gen, 1, 2, wire.Op{Kind: wire.OpDelete, Field: "x"}))
		want := map[string]string{"\xfe": gen}
		if values := f.hash(valuesKey(f.app, "a")); !maps.Equal(values, want) {
			f.Errorf("after the last deletion: %q", values)
		}
		f.apply(batch("a", gen, 2, 3, add("x", "1")))
		f.apply(batch("a", gen, 3, 4, clearAll))
		if values := f.hash(valuesKey(f.app, "a")); !maps.Equal(values, want) {
			f.Errorf("after a reset: %q", values)
		}
	},
	"Stored_LeaseIsWriterDeadlineLineageInfo": func(f *redisFixture) {
		req := hold("w")
		req.Lineage, req.Info = "f00", wire.Info{Host: "web 1", Version: "", Started: 17}
		now := f.hold(req).Now
		words := strings.Split(f.hash(leasesKey(f.app))["i:0"], " ")
		if len(words) != 7 || words[0] != "w" || words[2] != "f00" || words[3] != "web+1" || words[4] != "-" || words[5] != "17" || words[6] != strconv.FormatInt(long.Milliseconds(), 10) {
			f.Errorf("the lease is %q", words)
		}
		deadline, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || deadline < now.Add(long).UnixMilli()-1 || deadline > now.Add(long).UnixMilli() {
			f.Errorf("its deadline is %q, want %d", words[1], now.Add(long).UnixMilli())
		}
	},
	"Stored_GaugesExpireWithTheLongest": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		brief, longer := set("a", "1"), set("b", "2")
		brief.Expire, longer.Expire = time.Minute, 10*time.Minute
		want := func(limit time.Duration) {
			f.Helper()
			if ttl := f.client.PTTL(f.ctx, gaugesKey(f.app, "w")).Val(); ttl > limit || ttl < limit-30*time.Second {
				f.Errorf("the key lives for %s, want %s", ttl, limit)
			}
		}
		f.gauges(write(1, true, brief), wire.GaugesOK)
		want(time.Minute)
		f.gauges(write(2, false, longer), wire.GaugesOK)
		want(10 * time.Minute)
		f.gauges(write(3, false, brief), wire.GaugesOK) // the key still needs b's expiry
		want(10 * time.Minute)
		f.gauges(write(4, true, brief), wire.GaugesOK)
		want(time.Minute)
		f.gauges(write(5, false, unset("a")), wire.GaugesOK)
		if n := f.client.Exists(f.ctx, gaugesKey(f.app, "w")).Val(); n != 0 {
			f.Error("the key is left without a gauge")
		}
	},
	"Stored_OnlyGaugesExpire": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.take(hold("w"), 0, "")
		for _, key := range []string{
			controlKey(f.app, "a"), valuesKey(f.app, "a"), familiesKey(f.app), leasesKey(f.app),
		} {
			if ttl := f.client.PTTL(f.ctx, key).Val(); ttl != -1 {
				f.Errorf("%s has the expiry %s", key, ttl)
			}
		}
	},
}
