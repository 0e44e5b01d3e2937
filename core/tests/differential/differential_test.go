// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
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

// stepsPerSeed is small enough for a readable schedule, and large enough to fill a family to
// its cap.
const stepsPerSeed = 150

func TestMemstore_DoesWhatTheScriptsDo(t *testing.T) {
	memory := conformance.MemstoreTarget(memstore.New())
	scripts := conformance.RedisTarget(redistest.Shared(t).Client(t))
	outcomes := map[string]int{}
	run := func(seed uint64) bool {
		app := "app-" + rand.Text()
		one, two := newSide(t, memory, app), newSide(t, scripts, app)
		s := newSchedule(seed, outcomes)
		for step := range stepsPerSeed {
			r := s.next()
			if *onlySeed > 0 {
				t.Logf("%d: %s", step, r.what)
			}
			answer, other := r.ask(one), r.ask(two)
			differs := difference("the answers", answer, other)
			r.learn(answer)
			for _, part := range storedParts {
				if differs == "" {
					differs = difference(part.name, part.read(one), part.read(two))
				}
			}
			if differs != "" {
				t.Errorf("seed %d, step %d, %s:\n%s", seed, step, r.what, differs)
				t.Errorf("to replay it: go test -run TestMemstore . -differential.seed %d -v", seed)
				return false
			}
		}
		for what, n := range one.told {
			outcomes[what] += n
		}
		return !t.Failed()
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
			t.Errorf("no seed had the outcome: %s", kind)
		}
		t.Logf("%6d times %s", outcomes[kind], kind)
	}
}

// side is one of the two stores, with the names of its generations, which differ.
type side struct {
	t      *testing.T
	ctx    context.Context // of the test
	target conformance.Target
	store  wire.Store
	app    string

	generation, former map[string]string // by family: the present one, and the one before
	version            map[string]string // by family: the last series version that was read
	removed            map[string]string // by family: when a series was removed last, as a registration told
	pasts              map[string][]past // by family: the last versions that were seen
	told               map[string]int    // what the log of changes told, and how often
}

func newSide(t *testing.T, target conformance.Target, app string) *side {
	return &side{
		t: t, ctx: t.Context(), target: target, store: target.Store(t, app), app: app,
		generation: map[string]string{}, former: map[string]string{}, version: map[string]string{}, removed: map[string]string{},
		pasts: map[string][]past{}, told: map[string]int{},
	}
}

// must ends the test if a store fails.
func (x *side) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *side) series(family string) []wire.Series {
	x.t.Helper()
	list, err := wire.ScanSeries(x.ctx, x.store, family, wire.MaxPage)
	x.must(err)
	return list
}

// difference describes how two answers differ; it is empty if they are equal.
func difference(what string, memory, scripts any) string {
	a, b := fmt.Sprintf("%+v", memory), fmt.Sprintf("%+v", scripts)
	if a == b {
		return ""
	}
	return fmt.Sprintf("%s:\nin memory: %s\non Redis:  %s", what, a, b)
}

// meaning is what an error tells a writer.
func meaning(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("an error; refused: %v, answered: %v", wire.Refused(err), wire.Answered(err))
}

// storedParts read everything that is stored, as a page does, in a fixed order.
var storedParts = []struct {
	name string
	read func(x *side) any
}{
	{"the app", func(x *side) any {
		app, err := x.store.ReadApp(x.ctx)
		x.must(err)
		var leases []string
		var stamps []int64
		for _, l := range app.Leases {
			stamps = append(stamps, l.Stamp)
		}
		slices.Sort(stamps)
		for _, l := range app.Leases {
			left := l.Deadline.Sub(app.Now).Round(time.Minute)
			rank, _ := slices.BinarySearch(stamps, l.Stamp)
			leases = append(leases, fmt.Sprintf("%d %s %s %v %+v candidate %v %d", l.Index, l.Writer, l.Lineage, left, l.Info, l.Stamp > 0, rank))
		}
		changed := !app.Since.IsZero()
		return []any{
			slices.Sorted(slices.Values(app.Families)), leases, app.Lineage, changed, changed && app.Now.Sub(app.Since) < time.Minute, !app.Left.IsZero(),
		}
	}},
	{"the registrations", func(x *side) any {
		states, err := x.store.ReadFamilies(x.ctx, families)
		x.must(err)
		var list []string
		for i, f := range states {
			changed := x.version[families[i]] != f.SeriesVersion // series were added or removed
			x.version[families[i]] = f.SeriesVersion
			list = append(list, fmt.Sprintf("%s: error %v, generation %s, changed %v, %+v",
				families[i], f.Err != nil, nonceOf(f.Generation), changed, f.Definition))
		}
		return list
	}},
	{"the series", func(x *side) any {
		series := map[string]string{}
		for _, family := range families {
			for _, one := range x.series(family) {
				series[family+" "+one.Field] = canonical(one.Text)
			}
		}
		return series
	}},
	{"the starts", func(x *side) any {
		states, err := x.store.ReadFamilies(x.ctx, families)
		x.must(err)
		queries := make([]wire.StartsQuery, len(families))
		for i, family := range families {
			queries[i] = wire.StartsQuery{Family: family, Generation: x.generation[family], Fields: append([]string{"k\xffover"}, fields...)}
		}
		starts, err := x.store.ReadStarts(x.ctx, queries)
		x.must(err)
		for i := range starts {
			starts[i] = append(starts[i], states[i].Created)
			ranks(starts[i])
		}
		return starts
	}},
	{"the changes", func(x *side) any {
		answers := map[string][]string{}
		for _, family := range families {
			answers[family] = x.changes(family)
		}
		return answers
	}},
	{"the gauges", func(x *side) any {
		gauges, err := x.store.ReadGauges(x.ctx, writers)
		x.must(err)
		var list []string
		for i, of := range gauges {
			for _, g := range of.Entries {
				list = append(list, writers[i]+" "+g.Field+" "+g.Text)
			}
		}
		slices.Sort(list)
		return list
	}},
}

// ranks puts in place of each time of the present its rank among them: the two sides have clocks
// of their own. Times of requests, which are small, stay.
func ranks(times []int64) {
	const small = 1000
	order := slices.Compact(slices.Sorted(slices.Values(times)))
	for i, at := range times {
		if at >= small {
			times[i] = small + int64(slices.Index(order, at))
		}
	}
}

// nonceOf returns the part of a generation's name that is the same on both sides.
func nonceOf(generation string) string {
	nonce, _, _ := strings.Cut(generation, "-")
	return nonce
}

// canonical writes a vector in the same way whichever store it is from: sorted, each number as
// its bits. A text that is no vector stays.
func canonical(text string) string {
	vector, err := wire.ParseVector(nil, text)
	if err != nil {
		return text
	}
	parts := make([]string, len(vector))
	for i, c := range vector {
		parts[i] = fmt.Sprintf("%s:%x", c.Name, math.Float64bits(c.Value+0))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
