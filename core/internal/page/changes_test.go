// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// watched is a store that notes what a reader calls, and may cut scans.
type watched struct {
	wire.Store
	calls []string
	scan  func(scans []*wire.Scan, room int) error // instead of the store's, if not nil
}

// logged returns a fixture whose clock goes on with each call, and whose store logs the changes
// of each family.
func logged(t *testing.T) (*fixture, *watched) {
	f, clock := newFixture(t), int64(0)
	f.server.SetClock(func() time.Time { clock++; return time.UnixMicro(epoch + clock) })
	f.server.LogChanges(0)
	w := &watched{Store: f.store}
	f.store = w
	return f, w
}

// another returns a reader of the same server that knows nothing.
func (f *fixture) another() *fixture {
	other := &fixture{counts: newCounts(), t: f.t, server: f.server}
	other.Reader = New(f.server.Store("shop"), f.config, other.counts)
	f.t.Cleanup(func() {
		other.Stop(nil)
		other.Wait()
	})
	return other
}

// kinds are the families whose series are shared, and ops that add to a series of each.
var kinds = map[string]struct {
	definition wire.Definition
	prefix     string // of its fields
	op         wire.Op
}{
	"counter":   {counterDef("C."), "", wire.Op{Kind: wire.OpAdd, Value: "1"}},
	"histogram": {histogramDef("1", "2"), "", wire.Op{Kind: wire.OpAdd, Value: "2:3 sum:4"}},
	"latest":    {gaugeDef(wire.ModeLatest), "", wire.Op{Kind: wire.OpLatest, Value: "7 2 0"}},
	"total":     {gaugeDef(wire.ModeTotal), wire.TotalMark, wire.Op{Kind: wire.OpAdd, Value: "5"}},
}

// known is what an index says of a series.
type known struct {
	text, proto string // its labels
	start       int64
}

// present returns the series of an index that exist, and checks what the index says of all.
func (s *seriesIndex) present(t *testing.T) (fields []string, series map[string]known) {
	t.Helper()
	size, labelText, series := 0, 0, map[string]known{}
	for i, field := range s.labels.fields {
		size += wire.Cost(field, "")
		labelText += labelLength(field) + escapes(field)
		if _, absent := slices.BinarySearch(s.absent, i); absent {
			continue
		}
		one := known{text: s.labels.text(i)}
		for _, l := range s.labels.pairs()[i] {
			one.proto += l.GetName() + "=" + l.GetValue() + ","
		}
		if s.starts != nil {
			one.start = s.starts[i]
		}
		fields, series[field] = append(fields, field), one
	}
	if size += startSize * len(s.starts); s.size != size || s.labelText != labelText {
		t.Errorf("%d bytes and labels of %d, want %d and %d", s.size, s.labelText, size, labelText)
	}
	return fields, series
}

// sameAsAScan fails the test unless the page, and what is remembered of a family, are what a
// reader has that knows nothing.
func (f *fixture) sameAsAScan(name string) {
	f.t.Helper()
	other := f.another()
	got, want := f.page(), other.page()
	if a, b := text(f.t, got), text(f.t, want); a != b {
		f.t.Fatalf("the page is\n%s\nwant\n%s", a, b)
	}
	if a, b := fmt.Sprint(got.Proto()), fmt.Sprint(want.Proto()); a != b {
		f.t.Fatalf("as protobuf the page is\n%s\nwant\n%s", a, b)
	}
	a, b := f.index.families[name], other.index.families[name]
	if a == nil || b == nil {
		f.t.Fatalf("remembered is %v, want %v", a, b)
	}
	fields, series := a.present(f.t)
	wantFields, wantSeries := b.present(f.t)
	if !slices.Equal(fields, wantFields) || !maps.Equal(series, wantSeries) {
		f.t.Fatalf("remembered is\n%q\n%v\nwant\n%q\n%v", fields, series, wantFields, wantSeries)
	}
}

func TestIndex_ThatTookInChangesIsThatOfAScan(t *testing.T) {
	for kind, k := range kinds {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/seed %d", kind, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				f, w := logged(t)
				f.family("x", 1, k.definition)
				field := func() string {
					n := rng.IntN(120)
					values := []string{fmt.Sprint(n), fmt.Sprintf("quote\" \\ \n%d", n)}
					return k.prefix + labels("a", values[n%2], "b", fmt.Sprint(n%7))
				}
				add := func() {
					op := k.op
					op.Field, op.Born = field(), epoch-rng.Int64N(1000) // some turn out to have begun earlier
					f.commit("x", op)
				}
				for range 60 {
					add()
				}
				scans, readings := 0, 30
				for range readings {
					for range rng.IntN(4) {
						switch n := rng.IntN(100); {
						case n < 60:
							add()
						case n < 98:
							f.commit("x", wire.Op{Kind: wire.OpDelete, Field: field()})
						default:
							f.commit("x", wire.Op{Kind: wire.OpClear})
						}
					}
					w.calls = nil
					f.sameAsAScan("x")
					if slices.Contains(w.calls, "Scan") {
						scans++
					}
				}
				if scans > readings/4 {
					t.Errorf("%d of %d readings scanned", scans, readings)
				}
			})
		}
	}
}

// What is kept of series that are gone goes with a scan, before it is more than what is kept of
// those that are there.
func TestIndex_StaysInProportionUnderEndlessChurn(t *testing.T) {
	const series, each, rounds = 100, 10, 100
	f, w := logged(t)
	f.family("c_total", 1, counterDef(""))
	field := func(n int) string { return labels("n", fmt.Sprintf("%06d", n)) }
	for n := range series {
		f.add("c_total", field(n), "1")
	}
	scans := 0
	for round := range rounds {
		for n := round * each; n < (round+1)*each; n++ {
			f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field(n)})
			f.add("c_total", field(n+series), "1")
		}
		w.calls = nil
		f.sameAsAScan("c_total")
		if slices.Contains(w.calls, "Scan") {
			scans++
		}
		s := f.index.families["c_total"]
		if n := s.labels.len(); n > series+each || s.merged > n {
			t.Fatalf("round %d: %d series are remembered, and %d exist; %d changes were taken in", round, n, series, s.merged)
		}
	}
	if most := rounds*2*each/series + 1; scans < 2 || scans > most {
		t.Errorf("%d scans, want from 2 to %d", scans, most)
	}
}

// Fields that mean the same labels are one row, and what is no label set is omitted: neither can
// be taken in.
func TestIndex_ChangesThatCanNotBeTakenInAreScanned(t *testing.T) {
	f, _ := logged(t)
	f.family("c_total", 1, counterDef(""))
	for n := range 20 {
		f.add("c_total", labels("a", fmt.Sprint(n), "b", "x"), "1")
	}
	f.sameAsAScan("c_total")
	f.add("c_total", labels("b", "x", "a", "3"), "1", labels("gauge_index", "1"), "1", "odd", "1")
	for range 2 {
		if got := text(t, f.page()); !strings.Contains(got, `c_total{a="3",b="x"} 2`) || strings.Contains(got, "gauge_index=") {
			t.Errorf("the page is\n%s", got)
		}
	}
	if f.values["c_total"] != 2 {
		t.Errorf("omitted are %v", f.values)
	}
}
