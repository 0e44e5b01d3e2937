// SPDX-License-Identifier: Apache-2.0

package page

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
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

// Lines that tell when series began push nothing else off a page.
func TestStarts_AreOmittedWhereTheyWouldMakeThePageTooLong(t *testing.T) {
	b := newBuilder(t.Context(), newCounts(), wire.AppState{Now: time.UnixMicro(9)})
	stored := []wire.Series{{Field: "", Text: "1"}, {Field: labels("n", "a"), Text: "2"}}
	for _, tt := range []struct {
		spare  int
		noRoom bool
	}{{0, true}, {79, true}, {200, false}} {
		series, values, err := indexSeries(t.Context(), newCounts(), "c_total", wire.TypeCounter, stored)
		if err != nil {
			t.Fatal(err)
		}
		if series.noteStarts([]int64{3, 0}); series.size != 16+wire.Cost("", "")+wire.Cost(labels("n", "a"), "") {
			t.Errorf("series and starts take %d bytes", series.size)
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
