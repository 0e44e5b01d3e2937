// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// hostileReadTests store what no process of shoal's does: what is too long or too much does not
// leave the server.
var hostileReadTests = map[string]func(f *redisFixture){
	"Hostile_TextsThatAreTooLongStayOnTheServer": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1"), add("y", "2")))
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		just, long := strings.Repeat("7", wire.MaxText), strings.Repeat("7", wire.MaxText+1)
		f.set(valuesKey(f.app, "a"), "just", just, "long", long, long, "1")
		f.set(gaugesKey(f.app, "w"), "just", just, "long", long, long, "1")
		f.set(leasesKey(f.app), "i:7", long, long, "1", "i:8", strings.Repeat("w", wire.MaxLease+1))
		for round := range 3 { // in the first round the reader learns that there are such texts
			fields := []string{"x", "long", "y", "just", "gone"}
			replies, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{{Family: "a", Fields: fields}}, wire.MaxPage)
			if err != nil || replies[0].Err != nil {
				f.Fatalf("%+v, %v", replies, err)
			}
			want := []string{"1", wire.Overlong, "2", just, ""}
			for i, v := range replies[0].Values {
				if v.Text != want[i] || v.Found != (fields[i] != "gone") {
					f.Errorf("round %d: %s is %.20q (found: %v)", round, fields[i], v.Text, v.Found)
				}
			}
			if all := f.series("a"); all["long"] != wire.Overlong || all["just"] != just || all["x"] != "1" || all[wire.Overlong] != "1" || len(all) != 5 {
				f.Errorf("round %d: a scan finds %.200q", round, fmt.Sprint(all))
			}
			lists, err := f.store.ReadGauges(f.ctx, []string{"w"})
			if err != nil || lists[0].Err != nil || len(lists[0].Entries) != 1 || lists[0].Damaged != 3 {
				f.Errorf("round %d: the gauges are %.200q, %v", round, fmt.Sprint(lists), err)
			}
			app := f.head()
			if len(app.Leases) != 1 || app.Damaged != 3 {
				f.Errorf("round %d: %d leases, %d damaged", round, len(app.Leases), app.Damaged)
			}
		}
		f.must(f.client.HDel(f.ctx, valuesKey(f.app, "a"), "long", long).Err())
		f.must(f.client.HDel(f.ctx, leasesKey(f.app), "i:7", long, "i:8").Err())
		for range 2 {
			if all := f.series("a"); len(all) != 3 {
				f.Errorf("a scan finds %.200q", fmt.Sprint(all))
			}
			if app := f.head(); app.Damaged != 0 {
				f.Errorf("%d leases are damaged", app.Damaged)
			}
		}
	},
	"Hostile_LongRepliesComeInPieces": func(f *redisFixture) {
		f.family("a", wire.TypeCounter)
		fields := make([]string, 100)
		for i := range fields {
			fields[i] = fmt.Sprint("k\xff", i)
			f.set(valuesKey(f.app, "a"), fields[i], strings.Repeat(fmt.Sprint(i%10), wire.MaxText-i))
		}
		for _, texts := range []int{0, 1, 100 * wire.MaxText} {
			replies, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{{Family: "a", Fields: fields, Texts: texts}}, wire.MaxPage)
			if err != nil || replies[0].Err != nil {
				f.Fatalf("%+v, %v", replies, err)
			}
			for i, v := range replies[0].Values {
				if v.Text != strings.Repeat(fmt.Sprint(i%10), wire.MaxText-i) {
					f.Fatalf("the text %d has %d bytes", i, len(v.Text))
				}
			}
			if n := replies[0].Texts; n < 99*wire.MaxText || n > 101*wire.MaxText {
				f.Errorf("%d bytes", n)
			}
		}
		if all := f.series("a"); len(all) != 100 || len(all[fields[42]]) != wire.MaxText-42 {
			f.Errorf("a scan finds %d series", len(all))
		}
	},
	"Hostile_WhatDoesNotFitIsGivenUpAlone": func(f *redisFixture) {
		f.family("big", wire.TypeCounter)
		fields := make([]string, 50)
		for i := range fields {
			fields[i] = fmt.Sprint("k\xff", i)
			f.set(valuesKey(f.app, "big"), fields[i], strings.Repeat("1", 10_000))
		}
		gen := f.family("small", wire.TypeCounter)
		f.apply(batch("small", gen, 0, 1, add("x", "1")))
		replies, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{
			{Family: "big", Fields: fields}, {Family: "small", Fields: []string{"x"}},
		}, 800_000)
		if err != nil || !errors.Is(replies[0].Err, wire.ErrTooLarge) || replies[1].Err != nil || replies[1].Values[0].Text != "1" {
			f.Errorf("%.200q, %v", fmt.Sprint(replies), err)
		}
		if _, err := wire.ScanSeries(f.ctx, f.store, "big", 400_000); !errors.Is(err, wire.ErrTooLarge) {
			f.Errorf("a scan: %v", err)
		}
		if all, err := wire.ScanSeries(f.ctx, f.store, "big", 600_000); err != nil || len(all) != 50 {
			f.Errorf("a scan: %d, %v", len(all), err)
		}
	},
	"Hostile_RegistrationsThatAreNone": func(f *redisFixture) {
		bounds := make([]string, wire.MaxBounds+1)
		for i := range bounds {
			bounds[i] = fmt.Sprint(i)
		}
		for i, damage := range [][]any{
			{"type", "counter\nforged 1"}, {"type", strings.Repeat("x", 200_000)}, {"created", strings.Repeat("9", 30)},
			{"created", "-1"}, {"created", "x"}, {"bounds", strings.Join(bounds, " ")}, {"bounds", strings.Repeat("1 ", 100_000)},
			{"help", strings.Repeat("h", 200_000)},
		} {
			name := fmt.Sprint("d", i)
			gen := f.family(name, wire.TypeHistogram)
			f.set(controlKey(f.app, name), damage...)
			for range 2 {
				if s := f.state(name); s.Err == nil || errors.Is(s.Err, wire.ErrUnregistered) || s.Generation != gen || len(s.Bounds) > 0 {
					f.Errorf("%.60q is read as %.200q", fmt.Sprint(damage), fmt.Sprintf("%+v", s))
				}
			}
		}
		long := strings.Repeat("g", wire.MaxGeneration+1)
		f.family("gen", wire.TypeCounter)
		f.set(controlKey(f.app, "gen"), "gen", long)
		f.set(valuesKey(f.app, "gen"), wire.GenerationField, long)
		if s := f.state("gen"); s.Err == nil {
			f.Errorf("a generation of %d bytes is read", len(long))
		}
		gen := f.family("shape", wire.TypeCounter)
		f.set(controlKey(f.app, "shape"), "shape", strings.Repeat("s", 10_000))
		if s := f.state("shape"); s.Err != nil || s.Generation != gen || s.SeriesVersion != "" {
			f.Errorf("a long shape is read as %+v", s)
		}
		f.family("mode", wire.TypeGauge)
		f.set(controlKey(f.app, "mode"), "mode", strings.Repeat("m", 10_000))
		if s := f.state("mode"); s.Err != nil || s.Mode != "" {
			f.Errorf("a mode that is none is read as %+v", s)
		}
	},
	"Hostile_NamesThatAreNoneAreNotRead": func(f *redisFixture) {
		f.family("good", wire.TypeCounter)
		for _, name := range []string{"", "a b", "x}:v", "1a", "a/b", "\xff", strings.Repeat("n", wire.MaxName+1)} {
			f.must(f.client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Score: 1, Member: name}).Err())
		}
		if app := f.head(); !slices.Equal(app.Families, []string{"good"}) || app.Omitted != 7 {
			f.Errorf("%q, and %d omitted", app.Families, app.Omitted)
		}
	},
	"Hostile_LeasesThatNameKeysOfOthers": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		entry := f.client.HGet(f.ctx, leasesKey(f.app), "i:0").Val()
		for i, writer := range []string{"{other}", "w}:x{y", "", "a\x00b", strings.Repeat("w", wire.MaxWriter+1)} {
			f.set(leasesKey(f.app), fmt.Sprint("i:", i+1), writer+strings.TrimPrefix(entry, "w"))
		}
		f.set(leasesKey(f.app), "i:2147483648", "x"+strings.TrimPrefix(entry, "w"), "i:10", entry)
		head, err := f.store.ReadHead(f.ctx, wire.Expected{})
		if err != nil || len(head.App.Leases) != 1 || head.App.Damaged != 6 || len(head.Gauges) != 1 || len(head.Gauges[0].Entries) != 1 {
			f.Errorf("%+v, %v", head, err)
		}
	},
	"Hostile_KeysOfAnotherTypeAreNamed": func(f *redisFixture) {
		f.family("a", wire.TypeCounter)
		f.take(hold("w"), 0, "")
		for _, key := range []string{familiesKey(f.app), leasesKey(f.app)} {
			kept := f.client.Dump(f.ctx, key).Val()
			f.must(f.client.Del(f.ctx, key).Err())
			f.must(f.client.Set(f.ctx, key, "a stranger's", 0).Err())
			var wrong *wire.WrongTypeError
			if _, err := f.store.ReadApp(f.ctx); !errors.As(err, &wrong) || wrong.Key != key {
				f.Errorf("%s: %v", key, err)
			}
			f.must(f.client.Del(f.ctx, key).Err())
			if kept != "" {
				f.must(f.client.Restore(f.ctx, key, 0, kept).Err())
			}
		}
	},
	"Hostile_MoreLeasesThanAPageIsMadeOf": func(f *redisFixture) {
		entries := make([]any, 0, 2*wire.MaxLeases)
		for i := range wire.MaxLeases {
			entries = append(entries, fmt.Sprint("i:", i), "x")
		}
		f.set(leasesKey(f.app), entries...)
		if app, err := f.store.ReadApp(f.ctx); err != nil || app.Damaged != wire.MaxLeases {
			f.Errorf("%+v, %v", app, err)
		}
		f.set(leasesKey(f.app), "one more", "x")
		var many *wire.TooManyLeasesError
		if _, err := f.store.ReadApp(f.ctx); !errors.As(err, &many) || many.Count != wire.MaxLeases+1 || many.Key != leasesKey(f.app) {
			f.Errorf("%v", err)
		}
	},
	"Hostile_ManyGaugesAreReadInSlices": func(f *redisFixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		for part := range 70 {
			entries := make([]any, 0, 2000)
			for i := range 1000 {
				entries = append(entries, fmt.Sprint("g\xffn\xff", part*1000+i), "1 99999999999999")
			}
			f.set(gaugesKey(f.app, "w"), entries...)
		}
		if n := len(f.readGauges("w")); n != 70_001 {
			f.Errorf("%d gauges", n)
		}
	},
}

// set stores fields and texts in a hash.
func (f *redisFixture) set(key string, pairs ...any) {
	f.Helper()
	f.must(f.client.HSet(f.ctx, key, pairs...).Err())
}
