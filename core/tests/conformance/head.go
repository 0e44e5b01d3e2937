// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// inParts reads a head without guesses.
func (f *fixture) inParts() wire.Head {
	f.Helper()
	head, err := wire.HeadInParts(f.ctx, f.store)
	if err != nil {
		f.Fatal(err)
	}
	return head
}

// told is a head in a fixed order, without the times that change by themselves.
func told(h wire.Head) string {
	families := make([]string, len(h.App.Families))
	for i, name := range h.App.Families {
		families[i] = fmt.Sprintf("%s: %+v", name, h.States[i])
	}
	slices.Sort(families)
	gauges := make([]string, len(h.App.Leases))
	for i, l := range h.App.Leases {
		slices.SortFunc(h.Gauges[i].Entries, func(a, b wire.Series) int { return len(a.Field) - len(b.Field) })
		gauges[i] = fmt.Sprintf("%d %s: %+v", l.Index, l.Writer, h.Gauges[i].Entries)
	}
	return fmt.Sprint(h.Lineage, families, gauges, h.App.Lineage, h.App.Since)
}

var headTests = map[string]func(f *fixture){
	"Head_IsWhatItsPartsSayWhateverTheLastOneWas": func(f *fixture) {
		empty := f.inParts()
		f.family("a", wire.TypeCounter)
		f.family("b", wire.TypeGauge)
		f.take(hold("w"), 0, "")
		f.gauges(write(1, true, set("b", "1"), set("b\xffk\xffv", "2")), wire.GaugesOK)
		some := f.inParts()
		f.family("c", wire.TypeHistogram)
		f.take(hold("idle"), 1, "")
		more := f.inParts()
		f.release("w", 0)
		f.take(hold("next"), 0, "")
		f.target.LoseControl(f.T, f.app, "a")
		f.target.LoseValues(f.T, f.app, "c")
		now := f.inParts()
		if told(some) == told(now) {
			f.Fatal("nothing changed")
		}
		gone := wire.AppState{Families: []string{"", "x", "a/b"}, Leases: []wire.Lease{{Index: 7, Writer: "nobody"}}}
		for name, last := range map[string]wire.AppState{
			"none": {}, "empty": empty.App, "some": some.App, "more": more.App, "itself": now.App, "others": gone,
		} {
			head, err := f.store.ReadHead(f.ctx, wire.Expected{App: last})
			if err != nil {
				f.Fatalf("after %s: %v", name, err)
			}
			if got, want := told(head), told(now); got != want {
				f.Errorf("after %s it says\n%s, its parts\n%s", name, got, want)
			}
		}
	},
	"Head_TheLineageIsToldAgainAfterTheValues": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "1")))
		want, err := f.store.Lineage(f.ctx)
		if err != nil {
			f.Fatal(err)
		}
		for _, queries := range [][]wire.SeriesQuery{nil, {{Family: "a", Fields: []string{"x"}}}, {{Family: "a"}}} {
			if _, lineage, err := f.store.ReadSeries(f.ctx, queries, wire.MaxPage); err != nil || lineage != want {
				f.Errorf("%v: %q, %v, want %q", queries, lineage, err, want)
			}
		}
	},
}
