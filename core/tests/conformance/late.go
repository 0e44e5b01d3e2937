// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Deletions that arrive long after they were asked for, and turns of the housekeeping that come late.
var lateTests = map[string]func(f *fixture){
	"LateDeletion_SparesWhatBeganAfterItWasAskedFor": func(f *fixture) {
		for name, test := range map[string]struct {
			asked time.Duration // ago
			ops   []wire.Op
			stay  []string
		}{
			"one late deletion":        {time.Minute, []wire.Op{{Kind: wire.OpDelete, Field: "old"}, {Kind: wire.OpDelete, Field: "young"}}, []string{"other", "young"}},
			"a late Reset":             {time.Minute, []wire.Op{{Kind: wire.OpClear}}, []string{"young"}},
			"a Reset that is early":    {2 * time.Second, []wire.Op{{Kind: wire.OpClear}}, nil},
			"a deletion that is early": {2 * time.Second, []wire.Op{{Kind: wire.OpDelete, Field: "young"}}, []string{"old", "other"}},
			"one of an older client":   {0, []wire.Op{{Kind: wire.OpClear}}, nil},
		} {
			family := strings.ReplaceAll(name, " ", "_")
			gen := f.family(family, wire.TypeCounter)
			now := f.head().Now
			born := func(field string, ago time.Duration) wire.Op {
				op := add(field, "1")
				op.Born = now.Add(-ago).UnixMicro()
				return op
			}
			f.apply(batch(family, gen, 0, 1, born("old", time.Hour), born("young", 30*time.Second), born("other", time.Minute)))
			for i := range test.ops {
				if test.asked > 0 {
					test.ops[i].Born = now.Add(-test.asked).UnixMicro()
				}
			}
			reply := f.apply(batch(family, gen, 1, 2, test.ops...))
			if got := slices.Sorted(maps.Keys(f.series(family))); !slices.Equal(got, test.stay) {
				f.Errorf("%s: %q stay, want %q", name, got, test.stay)
			}
			if reply.Removed != 3-len(test.stay) {
				f.Errorf("%s: %d removed, want %d", name, reply.Removed, 3-len(test.stay))
			}
		}
	},
	"Housekeep_TheTurnAfterALateOneIsFreeAMinuteLater": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		f.apply(batch("a", f.register(r).Generation, 0, 1, held("x", 100)))
		want := func(idle int) {
			f.Helper()
			removed, err := f.store.Housekeep(f.ctx, retention, 10*time.Minute)
			if err != nil || removed.Idle != idle {
				f.Errorf("%+v were removed, want %d idle: %v", removed, idle, err)
			}
		}
		want(0)
		f.pass(9, r)
		f.advance(2 * time.Hour)
		want(0) // late
		f.advance(50 * time.Second)
		want(0) // not free
		f.advance(11 * time.Second)
		want(1)
	},
	"LateDeletion_AClockSetBackSparesNothing": func(f *fixture) {
		gen := f.family("c_total", wire.TypeCounter)
		f.apply(batch("c_total", gen, 0, 1, add("x", "1"))) // it began now, or when the family did
		deletion := wire.Op{Kind: wire.OpDelete, Field: "x", Born: f.head().Now.Add(time.Hour).UnixMicro()}
		if reply := f.apply(batch("c_total", gen, 1, 2, deletion)); reply.Removed != 1 {
			f.Errorf("%d removed by a deletion with a time in the future", reply.Removed)
		}
	},
}
