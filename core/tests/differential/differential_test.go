// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/conformance"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	onlySeed = flag.Uint64("differential.seed", 0, "run this seed alone, and log what it does")
	seeds    = flag.Uint64("differential.seeds", 60, "run so many seeds")
)

// stepsPerSeed are few enough for a schedule to be read, and enough to fill a
// family to its cap.
const stepsPerSeed = 150

func TestMemstore_DoesWhatTheScriptsDo(t *testing.T) {
	client := redistest.Shared(t).Client(t)
	server := memstore.New()
	scripts := conformance.RedisTarget(client)
	memory := conformance.Target{
		Store:       func(_ testing.TB, app string) wire.Store { return server.Store(app) },
		SetText:     func(_ testing.TB, app, family, field, text string) { server.SetText(app, family, field, text) },
		LoseControl: func(_ testing.TB, app, family string) { server.LoseControl(app, family) },
		LoseValues:  func(_ testing.TB, app, family string) { server.LoseValues(app, family) },
	}
	run := func(seed uint64) bool {
		app := "app-" + rand.Text()
		s := newSchedule(t, seed, side{memory, memory.Store(t, app), app}, side{scripts, scripts.Store(t, app), app})
		for step := range stepsPerSeed {
			what, differs := s.step()
			if *onlySeed > 0 {
				t.Logf("%d: %s", step, what)
			}
			if differs == "" {
				differs = s.compareStored()
			}
			if differs != "" {
				t.Errorf("seed %d, step %d, %s:\n%s", seed, step, what, differs)
				t.Errorf("to replay it: go test -run TestMemstore . -differential.seed %d -v", seed)
				return false
			}
		}
		return true
	}
	if *onlySeed > 0 {
		run(*onlySeed)
		return
	}
	for seed := uint64(1); seed <= *seeds; seed++ {
		if !run(seed) {
			return
		}
	}
	for _, kind := range wantedOutcomes {
		if outcomes[kind] == 0 {
			t.Errorf("never came to be: %s", kind)
		}
		t.Logf("%6d times %s", outcomes[kind], kind)
	}
}

// outcomes counts what the requests met, so that no rule is left out.
var outcomes = map[string]int{}

var wantedOutcomes = []string{
	"registered anew", "registered again", "orphan", "clash",
	"applied", "duplicate", "gap", "unknown", "malformed", "overflowed", "corrupt replaced",
	"own index", "another index", "fenced", "gauges OK", "gauges duplicate", "gauges want full", "gauges lost lease",
}

// side is one of the two stores.
type side struct {
	target conformance.Target
	store  wire.Store
	app    string
}

// both asks both sides and compares their answers.
func both[R any](s *schedule, ask func(side) R, same func(a, b R) string) (R, string) {
	a, b := ask(s.sides[0]), ask(s.sides[1])
	return a, same(a, b)
}

// sameText compares what two values look like.
func sameText(a, b any) string {
	x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b)
	if x == y {
		return ""
	}
	return fmt.Sprintf("in memory: %s\non Redis:  %s", x, y)
}

// sameError compares two errors by what they mean to a writer.
func sameError(a, b error) string {
	return sameText(
		[]bool{a != nil, wire.Refused(a), wire.Answered(a)},
		[]bool{b != nil, wire.Refused(b), wire.Answered(b)},
	)
}

// compareStored reads everything from both sides, as a page does.
func (s *schedule) compareStored() string {
	ctx := context.Background()
	type head struct {
		families []string
		leases   []string
		lineage  string
		changed  bool
		recent   bool // it became another one a moment ago
	}
	_, differs := both(s, func(x side) head {
		app, err := x.store.ReadApp(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		h := head{families: slices.Sorted(slices.Values(app.Families)), lineage: app.Lineage}
		h.changed = !app.Since.IsZero()
		h.recent = h.changed && app.Now.Sub(app.Since) < time.Minute
		for _, l := range app.Leases {
			left := l.Deadline.Sub(app.Now).Round(time.Minute)
			h.leases = append(h.leases, fmt.Sprintf("%d %s %s %v %+v", l.Index, l.Writer, l.Lineage, left, l.Info))
		}
		return h
	}, func(a, b head) string { return sameText(a, b) })
	if differs != "" {
		return "the app:\n" + differs
	}
	_, differs = both(s, func(x side) []string {
		states, err := x.store.ReadFamilies(ctx, families)
		if err != nil {
			s.t.Fatal(err)
		}
		var list []string
		for i, f := range states {
			list = append(list, fmt.Sprintf("%s: error %v, generation %s, %+v", families[i], f.Err != nil, nonceOf(f.Generation), f.Definition))
		}
		return list
	}, func(a, b []string) string { return sameText(a, b) })
	if differs != "" {
		return "the registrations:\n" + differs
	}
	for _, family := range families {
		_, differs := both(s, func(x side) map[string]string {
			list, err := x.store.ScanSeries(ctx, family, wire.MaxPage)
			if err != nil {
				s.t.Fatal(err)
			}
			series := map[string]string{}
			for _, one := range list {
				series[one.Field] = canonical(one.Text)
			}
			return series
		}, func(a, b map[string]string) string { return sameText(a, b) })
		if differs != "" {
			return "the series of " + family + ":\n" + differs
		}
	}
	_, differs = both(s, func(x side) []string {
		gauges, err := x.store.ReadGauges(ctx, writers)
		if err != nil {
			s.t.Fatal(err)
		}
		var list []string
		for i, of := range gauges {
			for _, g := range of.Entries {
				list = append(list, writers[i]+" "+g.Field+" "+g.Text)
			}
		}
		slices.Sort(list)
		return list
	}, func(a, b []string) string { return sameText(a, b) })
	if differs != "" {
		return "the gauges:\n" + differs
	}
	return s.compareShapes()
}
