// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// When a server's clock is set back, or a replica with a slower clock takes over, Redis holds
// times in the future.

// stamp is a value of a Latest gauge, set some time from now.
func stamp(value string, now time.Time, from, expire time.Duration) string {
	deadline := int64(0)
	if expire > 0 {
		deadline = now.Add(from + expire).UnixMicro()
	}
	return fmt.Sprintf("%s %d %d", value, now.Add(from).UnixMicro(), deadline)
}

var clockTests = map[string]func(f *fixture){
	"Clock_ALatestValueOfATimeToComeIsReplacedByTheNextOne": func(f *fixture) {
		gen := f.family("a", wire.TypeGauge)
		now := f.head().Now
		f.apply(batch("a", gen, 0, 1, latest("x", stamp("1", now, -time.Minute, 0))))
		for i, ahead := range []time.Duration{time.Minute, time.Hour, 100 * 365 * day} {
			f.target.SetText(f.T, f.app, "a", "x", stamp("1", now, ahead, 0))
			want := stamp("2", now, -time.Minute, 0)
			seq := uint64(i) + 1
			if r := f.apply(batch("a", gen, seq, seq+1, latest("x", want))); r.Totals[0] != want || f.series("a")["x"] != want || r.Corrupt != 0 {
				f.Errorf("behind one %v ahead: %q, total %q, %d corrupt; want %q", ahead, f.series("a")["x"], r.Totals[0], r.Corrupt, want)
			}
		}
	},
	"Clock_ALatestValueSetAtATimeToComeIsStoredAsSetNow": func(f *fixture) {
		gen := f.family("a", wire.TypeGauge)
		before := f.head().Now
		f.apply(batch("a", gen, 0, 1, latest("x", stamp("1", before, -time.Second, 0))))
		f.apply(batch("a", gen, 1, 2, latest("x", stamp("2", before, time.Hour, time.Minute)), latest("y", stamp("3", before, time.Hour, 0))))
		after := f.head().Now
		words := strings.Fields(f.series("a")["x"])
		at, _ := strconv.ParseInt(words[1], 10, 64)
		if words[0] != "2" || at < before.UnixMicro() || at > after.UnixMicro() || words[2] != fmt.Sprint(at+time.Minute.Microseconds()) {
			f.Errorf("stored is %q, set between %d and %d, to last a minute", words, before.UnixMicro(), after.UnixMicro())
		}
		if words := strings.Fields(f.series("a")["y"]); words[0] != "3" || words[2] != "0" {
			f.Errorf("stored is %q, to last for ever", words)
		}
	},
	"Clock_ADefinitionOfATimeToComeIsReplacedByTheNextOne": func(f *fixture) {
		now := f.head().Now.UnixMicro()
		hour := time.Hour.Microseconds()
		for _, step := range []struct {
			help string
			born int64
			want string
		}{
			{"far ahead", now + 2*hour, "far ahead"},
			{"less ahead", now + hour, "far ahead"}, // both are ignored
			{"farther ahead", now + 3*hour, "farther ahead"},
			{"now", now - 1, "now"},
			{"far ahead", now + 2*hour, "now"},
			{"older", now - hour, "now"},
			{"again", now - 1, "again"},
		} {
			r := registration("a", "w1", wire.TypeCounter)
			r.Born, r.Help = step.born, step.help
			f.register(r)
			if got := f.state("a").Help; got != step.want {
				f.Errorf("after %q of %d: %q, want %q", step.help, step.born, got, step.want)
			}
		}
	},
	"Hold_SaysThatTheWritersEntryWasGone": func(f *fixture) {
		first := hold("a")
		first.Lineage = "f00"
		if r := f.hold(first); r.Lost {
			f.Error("nothing is lost at the start")
		}
		again := first
		again.Index = 0
		if r := f.hold(again); r.Lost || f.head().Leases[0].Unverified {
			f.Errorf("nothing is lost by a renewal: %+v", r)
		}
		for name, index := range map[string]int{"nobody has it": 0, "another has it": 1} {
			f.release("a", f.hold(first).Index)
			if index == 1 {
				other := hold("b")
				other.Wanted = 1
				f.hold(other)
			}
			again.Index = index
			if r := f.hold(again); !r.Lost {
				f.Errorf("%s: the entry was gone: %+v", name, r)
			}
			if l := f.head().Leases[0]; !l.Unverified || l.Lineage != "" || l.Writer != "a" {
				f.Errorf("%s: the lease reads %+v, want it unverified", name, l)
			}
		}
		again.Index, again.Unverified = 0, true
		if r := f.hold(again); r.Lost || !f.head().Leases[0].Unverified {
			f.Errorf("the writer still looks: %+v", f.head().Leases)
		}
		again.Unverified = false
		f.hold(again)
		if l := f.head().Leases[0]; l.Unverified || l.Lineage != "f00" {
			f.Errorf("the lease reads %+v, want it verified", l)
		}
	},
}

// clockAgingTests store times in the future, as if the clock had been set back later.
var clockAgingTests = map[string]func(f *redisFixture){
	"Clock_NumbersOfATimeToComeBeginToAge": func(f *redisFixture) {
		f.family("a", wire.TypeCounter)
		f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), "w:ahead", "5 "+f.ago(-365*day), "w:old", "5 "+f.ago(wire.SequenceAge+time.Second)).Err())
		f.housekeep(0)
		control := f.hash(controlKey(f.app, "a"))
		if _, left := control["w:old"]; left {
			f.Error("an old number is left")
		}
		var seq, at int64
		if _, err := fmt.Sscan(control["w:ahead"], &seq, &at); err != nil || seq != 5 || at > f.head().Now.Unix() || at < f.head().Now.Unix()-60 {
			f.Errorf("the number of a time to come is %q, want it to be of now", control["w:ahead"])
		}
	},
	"Clock_FamiliesOfATimeToComeBeginToAge": func(f *redisFixture) {
		for _, name := range []string{"ahead", "list ahead", "control ahead"} {
			f.family(strings.ReplaceAll(name, " ", "_"), wire.TypeCounter)
		}
		f.list("ahead", -365*day)
		f.list("list_ahead", -365*day)
		f.list("control_ahead", retention+time.Minute)
		for name, ago := range map[string]time.Duration{"ahead": -365 * day, "list_ahead": retention + time.Minute, "control_ahead": -365 * day} {
			f.must(f.client.HSet(f.ctx, controlKey(f.app, name), "touched", f.ago(ago)).Err())
		}
		f.housekeep(retention)
		scores, err := f.client.ZRangeWithScores(f.ctx, familiesKey(f.app), 0, -1).Result()
		f.must(err)
		now := f.head().Now
		for _, z := range scores {
			if age := now.Sub(time.UnixMilli(int64(z.Score))); age < 0 || age > time.Minute {
				f.Errorf("%v counts as touched %v ago", z.Member, age)
			}
		}
		if len(scores) != 2 { // list_ahead was not written for long
			f.Errorf("listed are %v", scores)
		}
		for _, name := range []string{"ahead", "control_ahead"} {
			if at, _ := strconv.ParseInt(f.hash(controlKey(f.app, name))["touched"], 10, 64); at > now.Unix() || at < now.Unix()-60 {
				f.Errorf("%s was touched at %d, now it is %d", name, at, now.Unix())
			}
		}
	},
	"Clock_AFamilyThatLostItsControlHashKeepsItsSeries": func(f *redisFixture) {
		f.family("a", wire.TypeCounter)
		f.must(f.client.HSet(f.ctx, valuesKey(f.app, "a"), "", "5").Err())
		f.must(f.client.Del(f.ctx, controlKey(f.app, "a")).Err())
		f.list("a", -time.Minute) // as if the clock had been set back
		f.housekeep(retention)
		if values := f.hash(valuesKey(f.app, "a")); values[""] != "5" {
			f.Errorf("its series are %q", values)
		}
	},
	"Clock_LeasesThatSeemToLastForLongerThanGivenGoWithTheHousekeeping": func(f *redisFixture) {
		f.take(hold("living"), 0, "")
		for i, lease := range []struct {
			writer string
			last   time.Duration
			rest   string
		}{
			{"fits", 50 * time.Second, "- - - 0 60000"},
			{"dead", time.Hour, "- h v -5 60000 more"},
			{"untold", time.Hour, "- - - 0"},
			{"years", 365 * day, "- - - 0"},
		} {
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), fmt.Sprint("i:", i+1),
				fmt.Sprint(lease.writer, " ", f.head().Now.Add(lease.last).UnixMilli(), " ", lease.rest)).Err())
		}
		f.housekeep(0)
		if l := f.living(); len(l) != 3 || l[0] != "living" || l[1] != "fits" || l[3] != "untold" {
			f.Errorf("the leases are %v", l)
		}
	},
	"Clock_ALineageSinceATimeToComeIsLongAgoWithTheNextHold": func(f *redisFixture) {
		req := hold("a")
		req.Current = "f00"
		f.hold(req)
		since := func() time.Time { return f.head().Since }
		set := func(ms int64) {
			f.must(f.client.HSet(f.ctx, leasesKey(f.app), "lineage", fmt.Sprintf("f00 %d", ms)).Err())
		}
		past := f.head().Now.Add(-time.Second).UnixMilli()
		set(past)
		if f.hold(req); since().UnixMilli() != past {
			f.Errorf("a past time became %v", since())
		}
		set(f.head().Now.Add(time.Hour).UnixMilli())
		if f.hold(req); since().UnixMilli() != 1 {
			f.Errorf("a time to come became %v", since())
		}
		if f.hold(req); since().UnixMilli() != 1 {
			f.Errorf("and then %v", since())
		}
		req.Current = "f01"
		before := f.head().Now.Truncate(time.Millisecond)
		if f.hold(req); since().Before(before) || since().After(f.head().Now) {
			f.Errorf("the next lineage is since %v, it began behind %v", since(), before)
		}
	},
}
