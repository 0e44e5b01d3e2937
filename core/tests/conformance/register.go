// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var registerTests = map[string]func(f *fixture){
	"Register_BeginsAGenerationOnce": func(f *fixture) {
		first := f.register(registration("a", "w1", wire.TypeCounter))
		second := f.register(registration("a", "w2", wire.TypeCounter))
		if first.Generation == "" || first.Generation != second.Generation {
			f.Errorf("generations %q and %q, want one", first.Generation, second.Generation)
		}
		if first.Orphan || second.Orphan || first.Last != 0 || second.Last != 0 {
			f.Errorf("a fresh family is not fresh: %+v, %+v", first, second)
		}
	},
	"Register_RepliesInTheOrderOfTheRequests": func(f *fixture) {
		regs := []wire.Registration{
			registration("a", "w1", wire.TypeCounter),
			registration("b", "w1", wire.TypeGauge),
			registration("a", "w1", wire.TypeGauge),
			registration("c", "w1", wire.TypeSummary),
		}
		replies := f.store.Register(f.ctx, regs)
		if len(replies) != 4 {
			f.Fatalf("%d replies", len(replies))
		}
		for _, i := range []int{0, 1, 3} {
			if replies[i].Err != nil || !names(replies[i], regs[i]) {
				f.Errorf("reply %d is %+v", i, replies[i])
			}
		}
		if replies[2].Clash != wire.TypeCounter {
			f.Errorf("the clash was answered by %+v", replies[2])
		}
	},
	"Register_TellsTheWritersLastNumber": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		f.apply(batch("a", gen, 1, 2, add("x", "1")))
		if r := f.register(registration("a", "w1", wire.TypeCounter)); r.Last != 2 {
			f.Errorf("last is %d, want 2", r.Last)
		}
		if r := f.register(registration("a", "w2", wire.TypeCounter)); r.Last != 0 {
			f.Errorf("another writer's last is %d, want 0", r.Last)
		}
	},
	"Register_ClashOfTypesChangesNothing": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		before := f.state("a")
		clash := registration("a", "w2", wire.TypeHistogram)
		clash.Born, clash.Help = 99, "Other."
		if r := f.register(clash); r.Clash != wire.TypeCounter {
			f.Errorf("clash is %q, want %q", r.Clash, wire.TypeCounter)
		}
		after := f.state("a")
		if after.Type != wire.TypeCounter || after.Help != before.Help || after.Generation != gen {
			f.Errorf("the family changed from %+v to %+v", before, after)
		}
	},
	"Register_YoungestWritersDefinitionIsShown": func(f *fixture) {
		define := func(writer string, born int64, help string, bounds ...string) {
			r := registration("a", writer, wire.TypeHistogram)
			r.Born, r.Help, r.Bounds = born, help, bounds
			f.register(r)
		}
		want := func(help string, bounds ...string) {
			f.Helper()
			s := f.state("a")
			if s.Help != help || !slices.Equal(s.Bounds, bounds) {
				f.Errorf("help %q with bounds %q, want %q with %q", s.Help, s.Bounds, help, bounds)
			}
		}
		define("w1", 20, "Second.", "1", "2.5", "1e+06")
		want("Second.", "1", "2.5", "1e+06")
		define("w2", 10, "First.", "7")
		want("Second.", "1", "2.5", "1e+06")
		define("w3", 30, "Third, with \"quotes\" and\nlines.")
		want("Third, with \"quotes\" and\nlines.")
		define("w3", 30, "The same writer's again.", "9")
		want("The same writer's again.", "9")
	},
	"Register_KeepsModeAndCreation": func(f *fixture) {
		r := registration("a", "w1", wire.TypeGauge)
		r.Mode = wire.ModeSum
		before := f.head().Now.UnixMicro()
		f.register(r)
		after := f.head().Now.UnixMicro()
		s := f.state("a")
		if s.Mode != wire.ModeSum || s.Created < before || s.Created > after {
			f.Errorf("mode %q, created %d; want %q, within [%d, %d]", s.Mode, s.Created, wire.ModeSum, before, after)
		}
		r.Writer, r.Nonce = "w2", "other"
		f.register(r)
		if again := f.state("a"); again.Created != s.Created {
			f.Errorf("a second registration moved the creation from %d to %d", s.Created, again.Created)
		}
	},
	"Register_ListsTheFamily": func(f *fixture) {
		f.family("a", wire.TypeCounter)
		f.family("b", wire.TypeGauge)
		names := f.head().Families
		slices.Sort(names)
		if !slices.Equal(names, []string{"a", "b"}) {
			f.Errorf("the families are %q", names)
		}
	},
	"Register_LostControlMakesAnOrphan": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "5")))
		f.target.LoseControl(f.T, f.app, "a")
		if s := f.state("a"); s.Err == nil {
			f.Errorf("a family without a registration reads as %+v", s)
		}
		r := registration("a", "w1", wire.TypeCounter)
		reply := f.register(r)
		if !names(reply, r) || !reply.Orphan || reply.Last != 0 {
			f.Errorf("reply is %+v, want an orphan that is named %s", reply, r.Nonce)
		}
		wantVector(f, "the orphaned series", f.series("a")["x"], "5")
		// The generation keeps the flag, since other writers must get it too.
		if again := f.register(registration("a", "w2", wire.TypeCounter)); !again.Orphan || again.Generation != reply.Generation {
			f.Errorf("the next writer hears %+v", again)
		}
		f.apply(batch("a", reply.Generation, 0, 1, add("x", "1")))
		wantVector(f, "the series", f.series("a")["x"], "6")
	},
	"Register_LostValuesBeginANewGeneration": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "5")))
		f.target.LoseValues(f.T, f.app, "a")
		if s := f.state("a"); s.Err == nil {
			f.Errorf("a family without values reads as %+v", s)
		}
		r := registration("a", "w1", wire.TypeCounter)
		reply := f.register(r)
		if !names(reply, r) || reply.Orphan || reply.Last != 0 {
			f.Errorf("reply is %+v, want a fresh generation that is named %s", reply, r.Nonce)
		}
		if all := f.series("a"); len(all) != 0 {
			f.Errorf("series came back: %q", all)
		}
	},
	"Register_RequestThatComesAgainAfterALossBeginsAnotherGeneration": func(f *fixture) {
		r := registration("a", "w1", wire.TypeCounter)
		first := f.register(r)
		f.apply(batch("a", first.Generation, 0, 1, add("x", "5")))
		f.target.LoseControl(f.T, f.app, "a")
		f.target.LoseValues(f.T, f.app, "a")
		if f.target.Advance != nil {
			f.target.Advance(f.T, time.Millisecond)
		}
		if again := f.register(r); again.Generation == first.Generation || again.Last != 0 || again.Orphan {
			f.Errorf("first %+v, again %+v", first, again)
		}
		if reply := f.commit(batch("a", first.Generation, 1, 2, add("x", "1"))); reply.Status != wire.CommitUnknown {
			f.Errorf("a batch of the generation before was answered %+v", reply)
		}
	},
	"Register_EmptyRequestHasNoReplies": func(f *fixture) {
		if replies := f.store.Register(f.ctx, nil); len(replies) != 0 {
			f.Errorf("%d replies", len(replies))
		}
		if replies := f.store.Commit(f.ctx, nil); len(replies) != 0 {
			f.Errorf("%d replies", len(replies))
		}
	},
}

// names says whether the registration began the generation in its reply.
func names(reply wire.RegisterReply, r wire.Registration) bool {
	return strings.HasPrefix(reply.Generation, r.Nonce+"-")
}
