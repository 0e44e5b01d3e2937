// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// epoch is when the clock of these tests begins, in microseconds.
const epoch = 1_800_000_000_000_000

// clocked returns a fixture whose store has a clock of its own, at epoch.
func clocked(t *testing.T) *fixture {
	f := newFixture(t)
	f.setClock(0)
	return f
}

func (f *fixture) setClock(micros int64) {
	f.server.SetClock(func() time.Time { return time.UnixMicro(epoch + micros) })
}

// begin adds 1 to a series for a process that has held it since born, in microseconds after
// epoch.
func (f *fixture) begin(family, field, value string, born int64) {
	f.t.Helper()
	f.commit(family, wire.Op{Kind: wire.OpAdd, Field: field, Value: value, Born: epoch + born})
}

// stored returns the start that is stored of a series of c_total, or -1.
func (f *fixture) stored(field string) int64 {
	f.t.Helper()
	starts, err := f.store.ReadStarts(f.t.Context(), []wire.StartsQuery{{Family: "c_total", Generation: f.gen["c_total"], Fields: []string{field}}})
	if err != nil {
		f.t.Fatal(err)
	}
	return max(starts[0][0]-epoch, -1)
}

// row is what a page shows of a series.
type row struct {
	value float64 // of a histogram or summary, its count
	start int64   // in microseconds after epoch; -1 for none
}

// rows reads the page's series of a family, by their labels.
func (f *fixture) rows(family string) map[string]row {
	f.t.Helper()
	rows := map[string]row{}
	for _, shown := range f.page().Proto() {
		if shown.GetName() != family {
			continue
		}
		for _, m := range shown.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			var at *timestamppb.Timestamp
			r := row{start: -1}
			switch {
			case m.Counter != nil:
				r.value, at = m.Counter.GetValue(), m.Counter.CreatedTimestamp
			case m.Summary != nil:
				r.value, at = float64(m.Summary.GetSampleCount()), m.Summary.CreatedTimestamp
			case m.Histogram != nil:
				r.value, at = float64(m.Histogram.GetSampleCount()), m.Histogram.CreatedTimestamp
			case m.Gauge != nil:
				r.value = m.Gauge.GetValue()
			}
			if at != nil {
				r.start = at.AsTime().UnixMicro() - epoch
			}
			rows[strings.Join(labels, ",")] = r
		}
	}
	return rows
}

func (f *fixture) wantRows(family string, want map[string]row) {
	f.t.Helper()
	if got := f.rows(family); !maps.Equal(got, want) {
		f.t.Errorf("of %s the page shows %v, want %v", family, got, want)
	}
}

func TestStarts_AreShownOfCountersSummariesAndHistograms(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.family("no_suffix", 1, counterDef(""))
	f.family("s", 1, wire.Definition{Type: wire.TypeSummary})
	f.family("h", 1, histogramDef("1"))
	f.family("carts", 1, gaugeDef(wire.ModeTotal))
	f.family("last", 1, gaugeDef(wire.ModeLatest))
	f.setClock(9_000_000)
	f.begin("c_total", "", "1", 1_000_001)
	f.begin("c_total", labels("n", "a"), "2", 2_500_000)
	f.begin("no_suffix", "", "3", 3)
	f.begin("s", "", "sum:1 count:4", 4)
	f.begin("h", "", "1:5 sum:1", 5)
	f.begin("carts", wire.TotalMark, "6", 6)
	f.commit("last", wire.Op{Kind: wire.OpLatest, Value: "7 2 0", Born: epoch + 7})
	for range 2 { // scanned, and then known
		f.wantRows("c_total", map[string]row{"": {1, 1_000_001}, "n=a": {2, 2_500_000}})
		f.wantRows("no_suffix", map[string]row{"": {3, 3}})
		f.wantRows("s", map[string]row{"": {4, 4}})
		f.wantRows("h", map[string]row{"": {5, 5}})
		f.wantRows("carts", map[string]row{"": {6, -1}})
		f.wantRows("last", map[string]row{"": {7, -1}})
	}
	body, err := f.page().Encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: true})
	if err != nil {
		t.Fatal(err)
	}
	var created []string
	for line := range strings.Lines(string(body)) {
		if name, _, _ := strings.Cut(line, " "); strings.Contains(name, "_created") {
			created = append(created, strings.TrimSuffix(line, "\n"))
		}
	}
	want := []string{`c_created 1.800000001000001e+09`, `c_created{n="a"} 1.8000000025e+09`, `h_created 1.800000000000005e+09`, `s_created 1.800000000000004e+09`}
	if !slices.Equal(created, want) {
		t.Errorf("OpenMetrics has %q, want %q", created, want)
	}
}

// A start from the future was stored before the clock was set back. It is shown when that
// time has come.
func TestStarts_AfterThePageAreNotShown(t *testing.T) {
	f := clocked(t)
	f.setClock(5)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total", "", "1")
	for _, tt := range []struct{ clock, start int64 }{{4, -1}, {5, 5}, {3, -1}, {6, 5}} {
		f.setClock(tt.clock)
		f.wantRows("c_total", map[string]row{"": {1, tt.start}})
	}
}

// Series that mean the same labels are one row: it began with the first of them.
func TestStarts_OfJoinedSeriesAreTheEarliest(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.setClock(9)
	f.begin("c_total", labels("a", "1", "b", "2"), "1", 4)
	f.begin("c_total", labels("b", "2", "a", "1"), "2", 3)
	f.begin("c_total", labels("a", "1", "b", "2", "c", ""), "4", 5)
	f.begin("c_total", labels("a", "1"), "8", 6)
	f.begin("c_total", labels("z", "1"), "16", 2)
	f.wantRows("c_total", map[string]row{"a=1,b=2": {7, 3}, "a=1": {8, 6}, "z=1": {16, 2}})

	f.server.SetText("shop", "c_total", labels("b", "2", "a", "1", "c", ""), "32") // nobody knows since when
	f.begin("c_total", labels("z", "2"), "1", 7)
	f.wantRows("c_total", map[string]row{"a=1,b=2": {39, -1}, "a=1": {8, 6}, "z=1": {16, 2}, "z=2": {1, 7}})
}

func TestStarts_ThatCanNotBeReadAreOmittedAndNoMore(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.family("lost_total", 1, counterDef(""))
	f.add("c_total", "", "1")
	f.add("lost_total", "", "2")
	f.server.LoseMarks("shop", "lost_total")
	f.wantRows("c_total", map[string]row{"": {1, 0}})
	f.wantRows("lost_total", map[string]row{"": {2, -1}})
	if len(f.values) > 0 {
		t.Errorf("omitted are %v", f.values)
	}

	refuse := func(err error) {
		f.add("c_total", labels("n", fmt.Sprint(f.seq["c_total"])), "1") // so that it is scanned
		f.server.Fail(func(op string) error {
			if op == memstore.OpReadStarts {
				return err
			}
			return nil
		})
	}
	refuse(memstore.RefusedError("ERR no such command"))
	f.wantRows("c_total", map[string]row{"": {1, -1}, "n=1": {1, -1}})
	if f.values["when series began"] != 1 {
		t.Errorf("omitted are %v", f.values)
	}
	// Redis as a whole is in trouble.
	refuse(memstore.RefusedError("LOADING Redis is loading the dataset in memory"))
	if _, err := f.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("the reading ends with %v", err)
	}
	gone := errors.New("the connection broke")
	refuse(&brokenError{gone})
	if _, err := f.Read(t.Context()); !errors.Is(err, gone) {
		t.Errorf("the reading ends with %v", err)
	}
}

// brokenError is an error of the network.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }
func (*brokenError) Timeout() bool   { return true }
func (*brokenError) Temporary() bool { return false }

// Of series that the reader knows, a page asks only for the values.
func TestStarts_AreReadOnlyWithAScan(t *testing.T) {
	f := clocked(t)
	for _, name := range []string{"a_total", "b_total", "c_total"} {
		f.family(name, 1, counterDef(""))
		f.add(name, "", "1")
	}
	f.family("empty_total", 1, counterDef(""))
	var reads int
	f.server.Fail(func(op string) error {
		if op == memstore.OpReadStarts {
			reads++
		}
		return nil
	})
	f.page()
	if reads != 1 {
		t.Errorf("%d calls for the starts of three families, want 1", reads)
	}
	f.add("a_total", "", "1")
	f.page()
	if reads != 1 {
		t.Error("the starts of known series were read again")
	}
	f.add("a_total", labels("n", "a"), "1")
	f.page()
	if reads != 2 {
		t.Errorf("%d calls after a series was added, want 2", reads)
	}
}

// A start moves back when a process turns out to have held the series earlier.
func TestStarts_ThatMoveBackAreReadAgain(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.setClock(9)
	f.begin("c_total", "", "1", 8)
	f.wantRows("c_total", map[string]row{"": {1, 8}})
	f.begin("c_total", "", "1", 5)
	f.wantRows("c_total", map[string]row{"": {2, 5}})
}

// Something happens between two steps of a reading. Whatever it is and whenever it comes,
// no page shows a start that is later than that of the value beside it, and the next page
// shows the start that is stored.
func TestStarts_BelongToTheValuesBesideThem(t *testing.T) {
	const a, old, young = "n=a", 7, 100 // the series, and its values before and after
	field := labels("n", "a")
	remove := func(f *fixture) { f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field}) }
	add := func(f *fixture) {
		f.commit("c_total", wire.Op{Kind: wire.OpAdd, Field: field, Value: fmt.Sprint(young)})
	}
	for name, happens := range map[string]func(*fixture){
		"deleted and begun anew": func(f *fixture) { remove(f); add(f) },
		"cleared and begun anew": func(f *fixture) { f.commit("c_total", wire.Op{Kind: wire.OpClear}); add(f) },
		"deleted":                remove,
		"wiped and begun anew": func(f *fixture) {
			f.server.Wipe()
			f.seq["c_total"] = 0
			f.family("c_total", 1, counterDef(""))
			add(f)
		},
		"another one begins": func(f *fixture) { f.begin("c_total", labels("n", "b"), "1", 1) },
		"held earlier":       func(f *fixture) { f.begin("c_total", field, "0", 3) },
	} {
		for _, known := range []bool{false, true} {
			for _, when := range []string{"before", "after"} {
				for at, reached := 1, true; reached; at++ {
					t.Run(fmt.Sprintf("%s/known %v/%s step %d", name, known, when, at), func(t *testing.T) {
						f, clock := clocked(t), int64(0)
						f.server.SetClock(func() time.Time { clock++; return time.UnixMicro(epoch + clock) })
						f.family("c_total", 1, counterDef(""))
						f.begin("c_total", field, fmt.Sprint(old), 10)
						began := f.stored(field)
						if known {
							f.page()
						}
						var before *memstore.Snapshot
						steps, happened := 0, int64(0)
						hook := func(string) error {
							if steps++; steps == at {
								f.server.Fail(nil)
								f.server.LoseReply(nil)
								before, happened = f.server.Snapshot(), clock
								happens(f)
							}
							return nil
						}
						if when == "before" {
							f.server.Fail(hook)
						} else {
							f.server.LoseReply(hook)
						}
						first := f.rows("c_total")[a]
						f.server.Fail(nil)
						f.server.LoseReply(nil)
						if reached = before != nil; !reached {
							return
						}
						if first.value == old && first.start > happened || first.start > clock {
							t.Errorf("of the series that began at %d the page shows %v", began, first)
						}
						want := f.stored(field)
						if r, there := f.rows("c_total")[a]; there == (name == "deleted") || there && r.start != want {
							t.Errorf("the next page shows %v, %v; want the start %d", there, r, want)
						}
						f.server.Restore(before)
						if r := f.rows("c_total")[a]; r != (row{old, began}) {
							t.Errorf("after a step back the page shows %v, want the start %d", r, began)
						}
					})
				}
			}
		}
	}
}

// A page remembers starts under the seriesVersion that they belong to: Redis may return to it.
func TestStarts_AreRememberedOnlyOfTheSeriesVersionThatWasScanned(t *testing.T) {
	field := labels("n", "a")
	for at, reached := 1, true; reached; at++ {
		f, clock := clocked(t), int64(0)
		f.server.SetClock(func() time.Time { clock++; return time.UnixMicro(epoch + clock) })
		f.family("c_total", 1, counterDef(""))
		f.begin("c_total", field, "7", 10)
		began := f.stored(field)
		var before *memstore.Snapshot
		steps := 0
		f.server.Fail(func(string) error {
			if steps++; steps == at {
				f.server.Fail(nil)
				before = f.server.Snapshot()
				f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field})
				f.begin("c_total", field, "100", clock)
			}
			return nil
		})
		f.page()
		f.server.Fail(nil)
		if reached = before != nil; !reached {
			return
		}
		f.server.Restore(before)
		if r := f.rows("c_total")["n=a"]; r != (row{7, began}) {
			t.Errorf("step %d: after a step back the page shows %v, want the start %d", at, r, began)
		}
	}
}

// Lines that tell when series began push nothing else off a page.
func TestStarts_AreOmittedWhereTheyWouldMakeThePageTooLong(t *testing.T) {
	b := newBuilder(t.Context(), newCounts(), wire.AppState{Now: time.UnixMicro(9)})
	stored := []wire.Series{{Field: "", Text: "1"}, {Field: labels("n", "a"), Text: "2"}}
	for _, tt := range []struct {
		spare  int
		noRoom bool
	}{{0, true}, {79, true}, {200, false}} {
		series, values, err := indexSeries(t.Context(), newCounts(), "c_total", "s", stored)
		if err != nil {
			t.Fatal(err)
		}
		if size := series.noteStarts([]int64{3, 0}); size != 16 || series.size != 16+wire.Cost("", "")+wire.Cost(labels("n", "a"), "") {
			t.Errorf("the starts take %d bytes of %d", size, series.size)
		}
		c := storedFamily{name: "c_total", series: series, values: values, state: wire.FamilyState{Definition: counterDef("")}}
		large := storedFamily{name: "large_total", series: &seriesIndex{labels: &labelSets{}}, state: wire.FamilyState{Definition: counterDef("")}}
		large.series.labelText = wire.MaxPage - b.textBound(&c) - b.textBound(&large) - tt.spare
		p, err := b.build([]storedFamily{c, large})
		if err != nil {
			t.Fatal(err)
		}
		body, err := p.Encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := !strings.Contains(string(body), "c_created 3e-06"); got != tt.noRoom {
			t.Errorf("with room for %d bytes more the page is\n%s", tt.spare, body)
		}
	}
}
