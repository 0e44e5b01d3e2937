// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	day       = 24 * time.Hour
	retention = 30 * day
)

var housekeepTests = map[string]func(f *fixture){
	"Housekeep_LeavesTheLivingAlone": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
		f.housekeep(retention)
		f.housekeep(0)
		if r := f.commit(batch("a", gen, 1, 2, add("x", "1"))); r.Status != wire.CommitOK {
			f.Errorf("the writer's next batch: status %d", r.Status)
		}
		if f.living()[0] != "w" || len(f.readGauges("w")) != 1 || !slices.Equal(f.head().Families, []string{"a"}) {
			f.Error("housekeeping removed what lives")
		}
	},
	"Housekeep_RemovesExpiredLeases": func(f *fixture) {
		brief := hold("a")
		brief.TTL = short
		f.take(brief, 0, "")
		f.take(hold("b"), 1, "")
		f.elapse(2*short, "the lease expires", func() bool { return len(f.living()) == 1 })
		f.housekeep(0)
		f.take(hold("c"), 0, "") // no lease is left
	},
	"Housekeep_OneProcessDoesItForAll": func(f *fixture) {
		lapse := func(writer, fenced string) {
			f.Helper()
			brief := hold(writer)
			brief.TTL = short
			f.take(brief, 0, fenced)
			f.elapse(2*short, "the lease expires", func() bool { return len(f.living()) == 0 })
		}
		other := f.target.Store(f.T, f.app)
		lapse("a", "")
		f.housekeepAgain(f.store, 0, long) // the first turn
		lapse("b", "")
		f.housekeepAgain(other, 0, long)
		f.housekeepAgain(f.store, 0, long)
		lapse("c", "b") // an expired lease that is still stored
		f.housekeepAgain(other, 0, short)
		f.take(hold("d"), 0, "")
		if l := f.head().Leases; len(l) != 1 || l[0].Writer != "d" {
			f.Errorf("the leases are %v", l)
		}
	},
	"Housekeep_RemovesOldSequenceNumbersOnly": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		commit := func(writer string, prev, seq uint64) wire.CommitReply {
			c := batch("a", gen, prev, seq, add("x", "1"))
			c.Writer = writer
			return f.commit(c)
		}
		commit("old", 0, 5)
		commit("verified", 0, 5)
		f.advance(wire.SequenceAge - time.Hour)
		commit("young", 0, 5)
		commit("verified", 0, 5) // a duplicate shows that the writer lives
		f.advance(2 * time.Hour)
		f.housekeep(0)
		for writer, want := range map[string]uint64{"old": 0, "verified": 5, "young": 5} {
			if r := f.register(registration("a", writer, wire.TypeCounter)); r.Last != want {
				f.Errorf("the number of the %s writer is %d, want %d", writer, r.Last, want)
			}
		}
	},
	"Housekeep_ForgetsFamiliesAfterRetention": func(f *fixture) {
		written := f.family("written", wire.TypeCounter)
		f.family("declared", wire.TypeCounter)
		old := f.family("old", wire.TypeCounter)
		f.apply(batch("old", old, 0, 1, add("x", "1")))
		f.advance(retention - day)
		f.apply(batch("written", written, 0, 1, add("x", "1")))
		f.family("declared", wire.TypeCounter)
		f.housekeep(retention)
		if n := len(f.head().Families); n != 3 {
			f.Errorf("%d families before their time, want 3", n)
		}
		f.advance(2 * day)
		f.housekeep(0)
		if n := len(f.head().Families); n != 3 {
			f.Errorf("%d families where all are kept, want 3", n)
		}
		f.housekeep(retention)
		names := f.head().Families
		slices.Sort(names)
		if !slices.Equal(names, []string{"declared", "written"}) {
			f.Errorf("left are %q", names)
		}
		if s := f.state("old"); s.Err == nil || len(f.series("old")) != 0 {
			f.Errorf("the forgotten family still reads %+v", s)
		}
		if r := f.commit(batch("old", old, 1, 2, add("x", "1"))); r.Status != wire.CommitUnknown {
			f.Errorf("a batch for the forgotten family: status %d", r.Status)
		}
		if r := f.register(registration("old", "w9", wire.TypeGauge)); r.Clash != "" || r.Orphan {
			f.Errorf("the name begins anew with %+v", r)
		}
	},
	"Housekeep_TakesOffTheListWhatIsNoFamily": func(f *fixture) {
		want := func(names ...string) {
			f.Helper()
			f.housekeep(0)
			if got := slices.Sorted(slices.Values(f.head().Families)); !slices.Equal(got, names) {
				f.Errorf("the families are %.200q, want %q", got, names)
			}
		}
		f.family("a", wire.TypeCounter)
		f.family("lost", wire.TypeCounter)
		f.target.LoseControl(f.T, f.app, "lost") // its series stay
		f.target.List(f.T, f.app, "never", "a b", "", strings.Repeat("a", wire.MaxName+1))
		want("a", "lost", "never")
		f.advance(9 * time.Minute)
		want("a", "lost", "never")
		f.advance(2 * time.Minute)
		want("a", "lost")
	},
	"Housekeep_WrittenFamilyStaysListed": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.advance(20 * day)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.advance(20 * day) // longer than the retention, and untouched
		f.housekeep(retention)
		if names := f.head().Families; !slices.Equal(names, []string{"a"}) {
			f.Errorf("the families are %q", names)
		}
		if f.series("a")["x"] != "1" {
			f.Errorf("the series are %q", f.series("a"))
		}
		f.advance(11 * day)
		f.housekeep(retention)
		f.housekeep(retention)
		// The list may have the family for a while after it has gone, but not the other way round.
		if s := f.state("a"); s.Err == nil && len(f.head().Families) == 0 {
			f.Error("a family that is there is not listed")
		}
	},
}
