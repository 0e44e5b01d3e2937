// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func set(field, value string) wire.GaugeOp {
	return wire.GaugeOp{Field: field, Value: value, Expire: long}
}

func unset(field string) wire.GaugeOp { return wire.GaugeOp{Field: field, Delete: true} }

// gauges writes and wants a status.
func (f *fixture) gauges(w wire.GaugeWrite, want wire.GaugeStatus) {
	f.Helper()
	got := f.writeGauges(w)
	if got.Err != nil {
		f.Fatalf("writing gauges: %v", got.Err)
	}
	if got.Status != want {
		f.Errorf("version %d: status %d, want %d", w.Version, got.Status, want)
	}
}

func (f *fixture) writeGauges(w wire.GaugeWrite) wire.GaugeWritten {
	return f.store.WriteGauges(f.ctx, []wire.GaugeWrite{w})[0]
}

// readGauges reads one writer's.
func (f *fixture) readGauges(writer string) map[string]string {
	f.Helper()
	lists, err := f.store.ReadGauges(f.ctx, []string{writer})
	if err != nil || len(lists) != 1 {
		f.Fatalf("reading gauges: %d lists, %v", len(lists), err)
	}
	all := make(map[string]string)
	for _, s := range lists[0].Entries {
		all[s.Field] = s.Text
	}
	return all
}

func (f *fixture) wantGauges(want map[string]string) {
	f.Helper()
	if got := f.readGauges("w"); !maps.Equal(got, want) {
		f.Errorf("the gauges are %q, want %q", got, want)
	}
}

// write is a step of writer w, which holds index 0.
func write(version uint64, full bool, ops ...wire.GaugeOp) wire.GaugeWrite {
	return wire.GaugeWrite{Writer: "w", Version: version, Full: full, Ops: ops}
}

var gaugeTests = map[string]func(f *fixture){
	"Gauges_VersionsFollowEachOther": func(f *fixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, false, set("a", "1")), wire.GaugesOK) // version 1 is the first
		f.gauges(write(2, false, set("b", "2"), set("a", "-0.5")), wire.GaugesOK)
		f.wantGauges(map[string]string{"a": "-0.5", "b": "2"})
		f.gauges(write(2, false, set("b", "9")), wire.GaugesDuplicate)
		f.gauges(write(1, false, set("b", "9")), wire.GaugesAhead)
		f.gauges(write(1, true, set("b", "9")), wire.GaugesAhead)
		f.gauges(write(2, true, set("b", "9")), wire.GaugesDuplicate)
		f.gauges(write(4, false, set("b", "9")), wire.GaugesWantFull)
		f.wantGauges(map[string]string{"a": "-0.5", "b": "2"})
		f.gauges(write(3, false, unset("a"), unset("absent")), wire.GaugesOK)
		f.wantGauges(map[string]string{"b": "2"})
	},
	"Gauges_FullReplacesEverything": func(f *fixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(7, false, set("a", "1")), wire.GaugesWantFull)
		f.gauges(write(7, true, set("a", "1"), set("b", "NaN"), set("c", "+Inf")), wire.GaugesOK)
		f.wantGauges(map[string]string{"a": "1", "b": "NaN", "c": "+Inf"})
		f.gauges(write(20, true, set("d", "4")), wire.GaugesOK)
		f.wantGauges(map[string]string{"d": "4"})
		f.gauges(write(21, true), wire.GaugesOK)
		f.wantGauges(nil)
	},
	"Gauges_DemandTheLease": func(f *fixture) {
		f.gauges(write(1, true, set("a", "1")), wire.GaugesLostLease)
		f.take(hold("other"), 0, "")
		f.gauges(write(1, true, set("a", "1")), wire.GaugesLostLease)
		f.wantGauges(nil)
		f.take(hold("w"), 1, "")
		f.gauges(write(1, true, set("a", "1")), wire.GaugesLostLease) // of index 0
		w := write(1, true, set("a", "1"))
		w.Index = 1
		f.gauges(w, wire.GaugesOK)
		f.release("w", 1)
		w.Version = 2
		f.gauges(w, wire.GaugesLostLease)
	},
	"Gauges_WriterWhoseNameBeginsAlikeHasNoLease": func(f *fixture) {
		f.take(hold("w1"), 0, "")
		f.gauges(write(1, true, set("a", "1")), wire.GaugesLostLease)
		f.release("w", 0)
		if l := f.living(); l[0] != "w1" {
			f.Errorf("the leases are %v", l)
		}
	},
	"Gauges_ExpireOneByOne": func(f *fixture) {
		f.take(hold("w"), 0, "")
		brief := set("a", "1")
		brief.Expire = short
		f.gauges(write(1, true, brief, set("b", "2")), wire.GaugesOK)
		f.elapse(2*short, "the entry expires", func() bool { return maps.Equal(f.readGauges("w"), map[string]string{"b": "2"}) })
		f.gauges(write(2, false, set("a", "3")), wire.GaugesOK)
		f.wantGauges(map[string]string{"a": "3", "b": "2"})
	},
	"Gauges_APipelineAnswersEachWrite": func(f *fixture) {
		f.take(hold("w"), 0, "")
		replies := f.store.WriteGauges(f.ctx, []wire.GaugeWrite{
			write(1, true, set("a", "1")), write(2, false, set("b", "2")), write(4, false, set("c", "3")), write(2, false, set("b", "4")),
		})
		var got []wire.GaugeStatus
		for _, r := range replies {
			got = append(got, r.Status)
		}
		if want := []wire.GaugeStatus{wire.GaugesOK, wire.GaugesOK, wire.GaugesWantFull, wire.GaugesDuplicate}; !slices.Equal(got, want) {
			f.Errorf("the answers are %v, want %v", got, want)
		}
		f.wantGauges(map[string]string{"a": "1", "b": "2"})
	},
	"Gauges_ComeBackByAFullWriteWhenAllExpired": func(f *fixture) {
		f.take(hold("w"), 0, "")
		brief := set("a", "1")
		brief.Expire = short
		f.gauges(write(1, true, brief), wire.GaugesOK)
		f.elapse(2*short, "the key expires", func() bool {
			reply := f.writeGauges(write(9, false, set("a", "2")))
			if reply.Err != nil {
				f.Fatal(reply.Err)
			}
			return reply.Status == wire.GaugesWantFull && len(f.readGauges("w")) == 0
		})
		f.gauges(write(3, false, set("a", "2")), wire.GaugesWantFull)
		f.gauges(write(3, true, set("a", "2")), wire.GaugesOK)
		f.wantGauges(map[string]string{"a": "2"})
	},
	"Gauges_RefreshProlongs": func(f *fixture) {
		f.take(hold("w"), 0, "")
		first := set("a", "1")
		first.Expire = time.Minute
		f.gauges(write(1, true, first), wire.GaugesOK)
		f.advance(50 * time.Second)
		f.gauges(write(2, true, first), wire.GaugesOK)
		f.advance(50 * time.Second)
		f.wantGauges(map[string]string{"a": "1"})
		f.advance(11 * time.Second)
		f.wantGauges(nil)
	},
	"Gauges_ReadInTheOrderAsked": func(f *fixture) {
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("a\xffk\xffv", "1")), wire.GaugesOK)
		lists, err := f.store.ReadGauges(f.ctx, []string{"nobody", "w", "nobody"})
		if err != nil || len(lists) != 3 {
			f.Fatalf("%d lists, %v", len(lists), err)
		}
		if len(lists[0].Entries) != 0 || len(lists[2].Entries) != 0 || len(lists[1].Entries) != 1 || lists[1].Entries[0] != (wire.Series{Field: "a\xffk\xffv", Text: "1"}) {
			f.Errorf("read %+v", lists)
		}
		if lists, err = f.store.ReadGauges(f.ctx, nil); err != nil || len(lists) != 0 {
			f.Errorf("reading nothing: %v, %v", lists, err)
		}
	},
}
