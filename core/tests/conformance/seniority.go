// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// candidate takes or renews a lease as a candidate, and returns its stamp.
func (f *fixture) candidate(writer string, index int, ttl time.Duration) int64 {
	f.Helper()
	req := hold(writer)
	req.Index, req.TTL, req.Candidate = index, ttl, true
	f.hold(req)
	return f.stamp(writer)
}

// stamp is that of a living writer.
func (f *fixture) stamp(writer string) int64 {
	f.Helper()
	for _, l := range f.head().Leases {
		if l.Writer == writer {
			return l.Stamp
		}
	}
	f.Fatalf("%s has no lease", writer)
	return 0
}

// leaves wants the store to note that a candidate goes while do is done: at this time, or in that
// time if at is zero.
func (f *fixture) leaves(what string, at time.Time, do func()) {
	f.Helper()
	before := f.head()
	do()
	after := f.head()
	switch left := after.Left; {
	case left.Equal(before.Left):
		f.Errorf("%s: nothing is noted", what)
	case !at.IsZero() && !left.Equal(at):
		f.Errorf("%s: noted is %v, want %v", what, left, at)
	case at.IsZero() && (left.Before(before.Now) || left.After(after.Now.Add(time.Millisecond))):
		f.Errorf("%s: noted is %v, want a time from %v to %v", what, left, before.Now, after.Now)
	}
}

// stays wants the store to note nothing of that kind.
func (f *fixture) stays(what string, do func()) {
	f.Helper()
	before := f.head().Left
	do()
	if left := f.head().Left; !left.Equal(before) {
		f.Errorf("%s: noted is %v", what, left)
	}
}

// lapsed waits until a candidate's lease has expired, and returns its deadline.
func (f *fixture) lapsed(writer string) time.Time {
	f.Helper()
	var deadline time.Time
	f.elapse(2*short, "the lease expires", func() bool {
		for _, l := range f.head().Expired {
			if l.Writer == writer && l.Stamp > 0 {
				deadline = l.Deadline
			}
		}
		return !deadline.IsZero()
	})
	return deadline
}

var seniorityTests = map[string]func(f *fixture){
	"Seniority_StampsOrderTheCandidates": func(f *fixture) {
		f.take(hold("idle"), 0, "")
		a, b := f.candidate("a", wire.NoIndex, long), f.candidate("b", wire.NoIndex, long)
		if now := f.head().Now.UnixMilli(); a < now-time.Minute.Milliseconds() || a > now || b <= a {
			f.Errorf("stamps %d and %d, at %d", a, b, now)
		}
		f.stays("renewals", func() {
			if again := f.candidate("a", 1, long); again != a {
				f.Errorf("a renewal changes the stamp %d to %d", a, again)
			}
			again := hold("idle")
			again.Index = 0
			f.take(again, 0, "")
		})
		if f.stamp("idle") != 0 {
			f.Error("who is no candidate has a stamp")
		}
	},
	"Seniority_WhoStopsBeingACandidateComesBackBehindAllOthers": func(f *fixture) {
		f.candidate("a", wire.NoIndex, long)
		b := f.candidate("b", wire.NoIndex, long)
		f.leaves("a stops", time.Time{}, func() {
			again := hold("a")
			again.Index = 0
			f.take(again, 0, "")
		})
		if f.stamp("a") != 0 {
			f.Error("it keeps its stamp")
		}
		f.stays("a is a candidate again", func() {
			if a := f.candidate("a", 0, long); a <= b {
				f.Errorf("its stamp is %d, and that of the other %d", a, b)
			}
		})
	},
	"Seniority_AReleaseNotesWhen": func(f *fixture) {
		f.candidate("a", wire.NoIndex, long)
		f.take(hold("b"), 1, "")
		f.stays("who is no candidate goes", func() { f.release("b", 1) })
		f.stays("another process's lease is not released", func() { f.release("b", 0) })
		f.leaves("a goes", time.Time{}, func() { f.release("a", 0) })
		f.stays("twice", func() { f.release("a", 0) })
	},
	"Seniority_ALostLeaseIsBehindAllOthers": func(f *fixture) {
		f.candidate("a", wire.NoIndex, long)
		b := f.candidate("b", wire.NoIndex, long)
		f.leaves("another process takes the index", time.Time{}, func() {
			wanting := hold("c")
			wanting.Wanted = 0
			f.take(wanting, 0, "a")
		})
		if a := f.candidate("a", 0, long); a <= b {
			f.Errorf("the stamp is %d, and that of the other %d", a, b)
		}
	},
	"Seniority_AnExpiredLeaseEndsAtItsDeadline": func(f *fixture) {
		for what, do := range map[string]func(){
			"another takes the index": func() { f.take(hold("c"), 0, "a") },
			"its writer renews it":    func() { f.candidate("a", 0, long) },
			"housekeeping removes it": func() { f.housekeep(0) },
			"its writer releases it":  func() { f.release("a", 0) },
		} {
			first := f.candidate("a", wire.NoIndex, short)
			deadline := f.lapsed("a")
			f.leaves(what, deadline, do)
			if len(f.head().Expired) > 0 {
				f.Errorf("%s: an expired lease is left", what)
			}
			if again := f.candidate("a", wire.NoIndex, long); again <= first {
				f.Errorf("%s: the stamp is %d, before it was %d", what, again, first)
			}
			for index, writer := range f.living() {
				f.release(writer, index)
			}
		}
	},
	"Seniority_AnEarlierTimeDoesNotReplaceALaterOne": func(f *fixture) {
		f.candidate("a", wire.NoIndex, short)
		f.lapsed("a")
		f.candidate("b", 1, long)
		f.leaves("b goes", time.Time{}, func() { f.release("b", 1) })
		f.stays("a went before", func() { f.housekeep(0) })
	},
	"ReadOwn_ReadsOneWriterAndSomeFamilies": func(f *fixture) {
		f.family("a", wire.TypeGauge)
		gen := f.family("b", wire.TypeCounter)
		f.take(hold("v"), 0, "")
		f.take(hold("w"), 1, "")
		for i, writer := range []string{"v", "w"} {
			f.gauges(wire.GaugeWrite{Writer: writer, Index: i, Version: 1, Full: true, Ops: []wire.GaugeOp{set("a", writer)}}, wire.GaugesOK)
		}
		head, err := f.store.ReadOwn(f.ctx, "w", []string{"absent", "b", "unlisted"})
		if err != nil || len(head.App.Families) != 1 || len(head.States) != 1 || head.States[0].Generation != gen {
			f.Errorf("of one family the head is %+v, %v", head, err)
		}
		head, err = f.store.ReadOwn(f.ctx, "w", []string{"a"})
		if err != nil || len(head.App.Leases) != 2 || len(head.Gauges) != 2 {
			f.Fatalf("the head is %+v, %v", head, err)
		}
		if g := head.Gauges; len(g[0].Entries) != 0 || len(g[1].Entries) != 1 || g[1].Entries[0].Text != "w" {
			f.Errorf("the gauges are %+v", g)
		}
		if lineage, err := f.store.Lineage(f.ctx); err != nil || head.Lineage != lineage {
			f.Errorf("the lineage is %q, %v, want %q", head.Lineage, err, lineage)
		}
		head, err = f.store.ReadOwn(f.ctx, "nobody", nil)
		if err != nil || len(head.App.Leases) != 2 || len(head.States) != 0 || len(head.Gauges[0].Entries)+len(head.Gauges[1].Entries) != 0 {
			f.Errorf("without a lease the head is %+v, %v", head, err)
		}
	},
}

// formerLease runs a former script on the leases.
func (f *redisFixture) formerLease(script string, keys []string, args ...any) {
	f.Helper()
	source, err := formerScripts.ReadFile("testdata/former/" + script)
	f.must(err)
	f.must(f.client.Eval(f.ctx, string(source), keys, args...).Err())
}

// formerHold takes or renews a lease as a client does that knows no candidates.
func (f *redisFixture) formerHold(writer string, held, wanted int) {
	f.Helper()
	f.formerLease("hold-1.lua", []string{leasesKey(f.app)}, writer, held, wanted, long.Milliseconds(), "- - - 5 3600000", "", 0)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// laterDeadline is an entry of a lease with another deadline.
func laterDeadline(entry string, ms int64) string {
	words := strings.Split(entry, " ")
	words[1] = number(ms)
	return strings.Join(words, " ")
}

var storedSeniorityTests = map[string]func(f *redisFixture){
	"Seniority_IsAWordBehindTheEntry": func(f *redisFixture) {
		stamp := f.candidate("a", wire.NoIndex, long)
		f.take(hold("b"), 1, "")
		f.release("a", 0)
		f.candidate("c", wire.NoIndex, long)
		all := f.hash(leasesKey(f.app))
		words := strings.Split(all["i:0"], " ")
		if len(words) != 8 || words[0] != "c" || words[7] != all["stamp"] || words[7] != number(f.stamp("c")) || stamp >= f.stamp("c") {
			f.Errorf("stored is %q, and the first stamp was %d", all, stamp)
		}
		if all["left"] != number(f.head().Left.UnixMilli()) || len(strings.Split(all["i:1"], " ")) != 7 {
			f.Errorf("stored is %q", all)
		}
	},
	"Seniority_AfterTheClockWasSetBack": func(f *redisFixture) {
		first := f.candidate("a", wire.NoIndex, long)
		second := f.candidate("b", wire.NoIndex, long)
		ahead := f.head().Now.Add(day).UnixMilli()
		entry := f.hash(leasesKey(f.app))["i:0"]
		f.must(f.client.HSet(f.ctx, leasesKey(f.app), "left", ahead, "stamp", ahead,
			"i:0", laterDeadline(entry, ahead)).Err())
		// Others may have taken it for dead.
		f.leaves("an overlong lease is renewed", time.Time{}, func() {
			if again := f.candidate("a", 0, long); again != first {
				f.Errorf("the stamp %d became %d", first, again)
			}
		})
		if third := f.candidate("c", wire.NoIndex, long); third <= second || third != ahead+1 {
			f.Errorf("stamps %d, %d and %d", first, second, third)
		}
		f.must(f.client.HSet(f.ctx, leasesKey(f.app), "left", ahead, "i:0", laterDeadline(entry, ahead)).Err())
		f.leaves("housekeeping removes an overlong lease", time.Time{}, func() { f.housekeep(0) })
	},
	"Seniority_DamagedFieldsAreReplaced": func(f *redisFixture) {
		for _, damage := range []string{"", "x", "-5", "1.5", "9007199254740992", "99999999999999999999999", "5 5"} {
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), "left", damage, "stamp", damage).Err())
			if stamp, now := f.candidate("a", wire.NoIndex, long), f.head().Now.UnixMilli(); stamp > now || stamp < now-time.Minute.Milliseconds() {
				f.Errorf("behind the damaged stamp %q comes %d", damage, stamp)
			}
			f.leaves(damage, time.Time{}, func() { f.release("a", 0) })
		}
		for _, word := range []string{"x", "-5", "5x", "99999999999999999999999"} { // of a client in another language
			f.take(hold("a"), 0, "")
			entry := f.hash(leasesKey(f.app))["i:0"]
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), "i:0", entry+" "+word).Err())
			if l := f.head(); len(l.Leases) != 1 || l.Leases[0].Stamp != 0 || l.Damaged != 0 {
				f.Errorf("with %q the leases are %+v", word, l.Leases)
			}
			f.stays(word, func() { f.release("a", 0) })
		}
	},
	"Seniority_FieldsStayBesideManyLeases": func(f *redisFixture) {
		f.candidate("a", wire.NoIndex, long)
		f.release("a", 0)
		f.candidate("b", wire.NoIndex, long)
		many := map[string]any{}
		for i := range 3 * wire.MaxLeases {
			many[number(int64(i))] = "x"
		}
		f.must(f.client.HSet(f.ctx, leasesKey(f.app), many).Err())
		f.housekeep(0)
		if all := f.hash(leasesKey(f.app)); all["stamp"] == "" || all["left"] == "" || len(all) > wire.MaxLeases+100 {
			f.Errorf("%d fields are left; stamp %q, left %q", len(all), all["stamp"], all["left"])
		}
	},
	"Former_ClientLeavesCandidatesAlone": func(f *redisFixture) {
		stamp := f.candidate("a", wire.NoIndex, long)
		f.formerHold("old", -1, -1)
		f.formerHold("old", 1, -1)
		if f.stamp("a") != stamp || f.stamp("old") != 0 || f.living()[1] != "old" {
			f.Errorf("the leases are %+v", f.head().Leases)
		}
		f.formerLease("release-2.lua", []string{leasesKey(f.app), gaugesKey(f.app, "old")}, "old", 1)
		f.formerLease("lapse-1.lua", []string{leasesKey(f.app)}, 0, 1000)
		if f.stamp("a") != stamp || len(f.living()) != 1 {
			f.Errorf("the leases are %+v", f.head().Leases)
		}
		// It takes the index, and Redis notes nothing: readers have to know the deadline.
		f.stays("a former client takes the index", func() { f.formerHold("old", -1, 0) })
		if again := f.candidate("a", 0, long); again <= stamp || f.living()[0] != "old" {
			f.Errorf("the stamp was %d and is %d; the leases are %v", stamp, again, f.living())
		}
	},
}
