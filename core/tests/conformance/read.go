// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var readTests = map[string]func(f *fixture){
	"Read_EmptyAppIsEmpty": func(f *fixture) {
		state := f.head()
		if state.Now.IsZero() || len(state.Families) != 0 || len(state.Leases) != 0 {
			f.Errorf("an app that nobody used reads %+v", state)
		}
		if s := f.state("absent"); s.Err == nil {
			f.Errorf("an absent family reads %+v", s)
		}
		if all := f.series("absent"); len(all) != 0 {
			f.Errorf("an absent family holds %q", all)
		}
		states, err := f.store.ReadFamilies(f.ctx, nil)
		if err != nil || len(states) != 0 {
			f.Errorf("reading no families: %v, %v", states, err)
		}
	},
	"Read_FamiliesInTheOrderAsked": func(f *fixture) {
		f.family("a", wire.TypeCounter)
		f.family("b", wire.TypeHistogram)
		states, err := f.store.ReadFamilies(f.ctx, []string{"b", "absent", "a"})
		if err != nil || len(states) != 3 {
			f.Fatalf("%d states, %v", len(states), err)
		}
		if states[0].Type != wire.TypeHistogram || states[1].Err == nil || states[2].Type != wire.TypeCounter {
			f.Errorf("read %+v", states)
		}
	},
	"Read_SeriesInTheOrderAsked": func(f *fixture) {
		a, b := f.family("a", wire.TypeCounter), f.family("b", wire.TypeCounter)
		const many = 12_345 // several calls in several pipelines
		fields := make([]string, many)
		for from := 0; from < many; from += 1000 {
			var ops []wire.Op
			for i := from; i < min(from+1000, many); i++ {
				fields[i] = "k\xff" + strconv.Itoa(i)
				ops = append(ops, add(fields[i], strconv.Itoa(i)))
			}
			f.apply(batch("a", a, uint64(from/1000), uint64(from/1000)+1, ops...))
		}
		f.apply(batch("b", b, 0, 1, add("", "7")))
		fields[777] = "gone"
		replies, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{
			{Family: "b", Fields: []string{"no", ""}},
			{Family: "a", Fields: fields},
			{Family: "absent", Fields: []string{"x"}},
			{Family: "b"},
		}, wire.MaxPage)
		if err != nil || len(replies) != 4 {
			f.Fatalf("%d replies, %v", len(replies), err)
		}
		for i, q := range []int{2, many, 1, 0} {
			if replies[i].Err != nil || len(replies[i].Values) != q {
				f.Fatalf("reply %d: %d values, %v", i, len(replies[i].Values), replies[i].Err)
			}
		}
		if v := replies[0].Values; v[0].Found || !v[1].Found || v[1].Text != "7" {
			f.Errorf("read %+v", v)
		}
		for i, v := range replies[1].Values {
			if want := (wire.SeriesValue{Text: strconv.Itoa(i), Found: true}); i != 777 && v != want {
				f.Fatalf("field %d reads %+v", i, v)
			}
		}
		if replies[1].Values[777].Found || replies[2].Values[0].Found {
			f.Error("found what is not there")
		}
		if all := f.series("a"); len(all) != many || all["k\xff12344"] != "12344" {
			f.Errorf("a scan finds %d series", len(all))
		}
	},
	"Read_AppsNeverSeeEachOther": func(f *fixture) {
		others := []wire.Store{
			f.target.Store(f.T, f.app+"2"),
			f.target.Store(f.T, f.app+"/a"),
			f.target.Store(f.T, f.app[:len(f.app)-1]),
		}
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		for i, other := range others {
			state, err := other.ReadApp(f.ctx)
			if err != nil || len(state.Families) != 0 || len(state.Leases) != 0 {
				f.Errorf("app %d sees %+v, %v", i, state, err)
			}
			series, err := wire.ScanSeries(f.ctx, other, "a", wire.MaxPage)
			if err != nil || len(series) != 0 {
				f.Errorf("app %d sees %+v, %v", i, series, err)
			}
			gauges, err := other.ReadGauges(f.ctx, []string{"w"})
			if err != nil || len(gauges[0].Entries) != 0 {
				f.Errorf("app %d sees %+v, %v", i, gauges, err)
			}
			if err := other.Release(f.ctx, "w", 0); err != nil {
				f.Error(err)
			}
			if _, err := other.Housekeep(f.ctx, 1, 0); err != nil {
				f.Error(err)
			}
			reply := other.Commit(f.ctx, []wire.Commit{batch("a", gen, 1, 2, clearAll)})[0]
			if reply.Err != nil || reply.Status != wire.CommitUnknown {
				f.Errorf("app %d commits with %+v", i, reply)
			}
		}
		if f.series("a")["x"] != "1" || f.living()[0] != "w" || len(f.readGauges("w")) != 1 || len(f.head().Families) != 1 {
			f.Error("another app's doings changed this one")
		}
	},
}
