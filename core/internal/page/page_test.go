// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestPage_BoundsChangedAtADeploy(t *testing.T) {
	f := newFixture(t)
	f.family("h", 1, histogramDef("1", "5", "10"))
	f.add("h", "", "1:2 5:3 10:4 +Inf:1 sum:60.5")
	f.family("h", 2, histogramDef("0.5", "1", "7"))
	f.add("h", "", "0.5:1 7:1 sum:6")
	for range 2 {
		f.shows("h",
			`h_bucket{le="0.5"} 1`,
			`h_bucket{le="1"} 3`,     // and the 2 up to 1
			`h_bucket{le="7"} 7`,     // and those up to 5
			`h_bucket{le="+Inf"} 12`, // and those up to 10
			"h_sum 66.5", "h_count 12")
		// The older writer registers once more, and changes nothing.
		f.family("h", 1, histogramDef("1", "5", "10"))
	}
}

func TestPage_TheYoungestWritersDefinitionIsShown(t *testing.T) {
	f := newFixture(t)
	f.family("c_total", 10, counterDef("young"))
	f.family("c_total", 5, counterDef("old"))
	f.family("g", 5, gaugeDef(wire.ModeMax))
	f.family("g", 10, gaugeDef(wire.ModeMin))
	f.add("c_total", "", "1")
	f.process("a", wire.Info{}, gaugeText("g", "", "1"))
	f.process("b", wire.Info{}, gaugeText("g", "", "2"))
	f.shows("g", "g 1")
	f.shows("# HELP c_total", "# HELP c_total young")
}

func TestPage_EqualIdentitiesAreSummed(t *testing.T) {
	f := newFixture(t)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total",
		labels("a", "1", "b", "2"), "1",
		labels("b", "2", "a", "1"), "2", // another order
		labels("a", "1", "b", "2", "c", ""), "4", // an empty label is none
		labels("a", "1"), "8",
		labels("a", "1", "b", ""), "16",
		labels("b", "2"), "32")
	f.family("s", 1, wire.Definition{Type: wire.TypeSummary})
	f.add("s", labels("a", "1", "b", "2"), "sum:1 count:1", labels("b", "2", "a", "1"), "sum:9 count:2")
	f.shows("c_total", `c_total{a="1"} 24`, `c_total{a="1",b="2"} 7`, `c_total{b="2"} 32`)
	f.shows("s_", `s_sum{a="1",b="2"} 10`, `s_count{a="1",b="2"} 3`)
}

func TestPage_OfNamesThatClashTheFirstRegisteredIsShown(t *testing.T) {
	for _, order := range [][]string{{"x", "x_count"}, {"x_count", "x"}} {
		f := newFixture(t)
		for _, name := range order {
			if name == "x" {
				f.family("x", 1, wire.Definition{Type: wire.TypeSummary})
				f.add("x", "", "sum:1 count:1")
			} else {
				f.family("x_count", 1, counterDef(""))
				f.add("x_count", "", "5")
			}
			f.server.Advance(time.Second)
		}
		if order[0] == "x" {
			f.shows("x", "x_sum 1", "x_count 1")
		} else {
			f.shows("x", "x_count 5")
		}
		if n := f.families[order[1]]; n != 1 || len(f.families) != 1 {
			t.Errorf("omitted are %v", f.families)
		}
	}
}

func TestPage_WhatIsCorruptLeavesTheRestValid(t *testing.T) {
	f := newFixture(t)
	corrupt := map[string][]string{ // texts of further series
		"c_total": {"junk", "NaN", "+Inf", "0x10", "sum:1 count:1", ""},
		"h":       {"5", "1:x sum:1", "le:1 sum:1", "NaN:1 sum:1", "1:1  sum:1", "1:5 +Inf:-3 sum:1", "1:-1 sum:1"},
		"s":       {"1:1 sum:1", "sum:1 count:-2"},
		"last":    {"1", "1 2", "x 2 3", "1 x 3", "1 2 x", "1 2 3 4"},
	}
	f.family("c_total", 1, counterDef(""))
	f.family("h", 1, histogramDef("1"))
	f.family("s", 1, wire.Definition{Type: wire.TypeSummary})
	f.family("last", 1, gaugeDef(wire.ModeLatest))
	f.add("c_total", labels("a", "good"), "1")
	f.add("h", labels("a", "good"), "1:1 sum:0.5")
	f.add("s", labels("a", "good"), "sum:1 count:2")
	f.commit("last", wire.Op{Kind: wire.OpLatest, Field: labels("a", "good"), Value: "7 2 0"})
	for name, texts := range corrupt {
		for i, text := range texts {
			f.server.SetText("shop", name, labels("a", strconv.Itoa(i)), text)
		}
	}
	fields := []string{
		labels("gauge_index", "1"), labels("__name__", "other"), labels("a", "caf\xe9"),
		labels("a", "1", "a", "2"), labels("bad name", "1"), labels("no value"), labels("a", "x", ""),
	}
	for _, field := range fields {
		f.server.SetText("shop", "c_total", field, "1")
	}
	f.server.SetText("shop", "h", labels("le", "1"), "1:1 sum:0.5")
	f.server.SetText("shop", "s", labels("quantile", "1"), "sum:1 count:2")
	f.family("falling", 1, histogramDef("2", "1"))
	f.add("falling", "", "1:1 sum:1")
	f.family("lost", 1, counterDef(""))
	f.server.LoseValues("shop", "lost")
	f.family("g", 1, gaugeDef(""))
	f.family("odd", 1, gaugeDef("median"))
	f.process("a", wire.Info{Host: "a\"b\\c\nd"},
		gaugeText("g", "", "1"), gaugeText("g", labels("a", "x"), "abc"), gaugeText("g", labels("gauge_index", "1"), "1"),
		gaugeText("odd", "", "3"), gaugeText("nobody registered this", "", "4"))
	f.family("listed_only", 1, counterDef("")) // or its registration is lost
	f.server.LoseControl("shop", "listed_only")
	want := map[string]int{"c_total": len(corrupt["c_total"]) + len(fields), "h": len(corrupt["h"]) + 1, "s": 3, "last": 6, "g": 2, "falling": 1}
	for range 2 { // read in full, and then by known fields
		clear(f.values)
		clear(f.families)
		f.shows("c_total", `c_total{a="good"} 1`)
		f.shows("h_count", `h_count{a="good"} 1`)
		f.shows("s_count", `s_count{a="good"} 2`)
		f.shows("last", `last{a="good"} 7`)
		f.shows("g{", `g{gauge_index="0"} 1`)
		f.shows("odd", `odd{gauge_index="0"} 3`)
		for _, prefix := range []string{"falling", "lost", "listed", "nobody"} {
			f.shows(prefix)
		}
		for name, n := range want {
			if got := f.values[name]; got < n {
				t.Errorf("of %s %d values were omitted, want %d", name, got, n)
			}
		}
		if f.families["lost"] == 0 {
			t.Errorf("omitted are %v", f.families)
		}
	}
}

func TestPage_NamesTheLivingAndRepairsTheirTexts(t *testing.T) {
	f := newFixture(t)
	f.shows("shoal_instance", "shoal_instances 0")
	f.process("a", wire.Info{Host: "web-1", Version: "1.2", Started: 1_500_000})
	f.process("b", wire.Info{Host: "web\xff1", Version: "\xc3\x28"}) // anybody may write that
	f.process("c", wire.Info{})
	f.shows("shoal_instance",
		`shoal_instance_info{gauge_index="0",host="web-1",version="1.2"} 1`,
		"shoal_instance_info{gauge_index=\"1\",host=\"web\ufffd1\",version=\"\ufffd(\"} 1",
		`shoal_instance_info{gauge_index="2"} 1`,
		`shoal_instance_start_time_seconds{gauge_index="0"} 1.5`,
		`shoal_instance_start_time_seconds{gauge_index="1"} 0`,
		`shoal_instance_start_time_seconds{gauge_index="2"} 0`,
		"shoal_instances 3")
}

func TestPage_ModesFoldTheLivingAndSkipNaN(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		values             []float64
		sum, max, min, avg string
	}{
		{[]float64{1}, "1", "1", "1", "1"},
		{[]float64{1, 2, 6}, "9", "6", "1", "3"},
		{[]float64{nan, 2, nan, 4}, "6", "4", "2", "3"},
		{[]float64{2, nan}, "2", "2", "2", "2"},
		{[]float64{nan, nan}, "NaN", "NaN", "NaN", "NaN"},
		{[]float64{-1, -3}, "-4", "-1", "-3", "-2"},
		{[]float64{1, inf}, "+Inf", "+Inf", "1", "+Inf"},
		{[]float64{0, 0, 0, 8}, "8", "8", "0", "2"},
	} {
		f := newFixture(t)
		modes := []string{wire.ModeSum, wire.ModeMax, wire.ModeMin, wire.ModeAvg}
		for _, mode := range modes {
			f.family(mode, 1, gaugeDef(mode))
		}
		for i, v := range tt.values {
			var ops []wire.GaugeOp
			for _, mode := range modes {
				ops = append(ops, gaugeText(mode, labels("a", "x"), strconv.FormatFloat(v, 'g', -1, 64)))
			}
			f.process(fmt.Sprint("w", i), wire.Info{}, ops...)
		}
		for i, want := range []string{tt.sum, tt.max, tt.min, tt.avg} {
			f.shows(modes[i], modes[i]+`{a="x"} `+want)
		}
	}
}

func TestPage_OfSeveralLatestTheNewestIsShown(t *testing.T) {
	f := newFixture(t)
	f.family("last", 1, gaugeDef(wire.ModeLatest))
	for field, text := range map[string]string{
		labels("a", "1", "b", "2"):          "1 100 0",
		labels("b", "2", "a", "1"):          "2 300 0",
		labels("a", "1", "b", "2", "c", ""): "3 200 0",
		labels("a", "gone"):                 "4 100 200",
	} {
		f.server.SetText("shop", "last", field, text)
	}
	f.shows("last", `last{a="1",b="2"} 2`)
}

// What is stored beside the sums, in the family or among the gauges of a process, is
// not shown as one of them.
func TestPage_OfTotalsShowsTheMarkedSeriesOnly(t *testing.T) {
	f := newFixture(t)
	f.family("g", 1, gaugeDef(wire.ModeTotal))
	f.add("g", wire.TotalMark, "-2.5", wire.TotalMark+labels("b", "2", "a", "1"), "3", wire.TotalMark+labels("a", "1", "b", "2"), "-1")
	f.add("g", labels("a", "1", "b", "2"), "50", "", "60") // neither of a Total nor of a Latest
	f.family("c", 1, counterDef(""))
	f.add("c", wire.TotalMark, "7", "", "1")
	f.family("bad", 1, gaugeDef(wire.ModeTotal))
	f.add("bad", wire.TotalMark+labels("a", "good"), "1")
	f.server.SetText("shop", "bad", wire.TotalMark+labels("a", "bad"), "1 2 0")
	f.process("w", wire.Info{}, gaugeText("g", "", "9"), gaugeText("g", wire.TotalMark, "8"), gaugeText("h", wire.TotalMark, "8"))
	f.family("h", 1, gaugeDef(""))
	for range 2 { // read in full, and then by known fields
		clear(f.values)
		f.shows("g", "g -2.5", `g{a="1",b="2"} 2`)
		f.shows("c", "c 1")
		f.shows("bad", `bad{a="good"} 1`)
		f.shows("h")
		for _, name := range []string{"g", "h", "bad"} {
			if f.values[name] == 0 {
				t.Errorf("what is no number of %s was not told", name)
			}
		}
	}
}

// Series that come and go between two readings of one reader.
func TestPage_FollowsSeriesThatComeAndGo(t *testing.T) {
	f := newFixture(t)
	const cd, book = `c_total{kind="cd"} `, `c_total{kind="book"} `
	for range 2 { // and once more after all is lost
		f.family("c_total", 1, counterDef(""))
		f.add("c_total", labels("kind", "cd"), "1")
		f.shows("c_total", cd+"1")
		f.add("c_total", labels("kind", "cd"), "1")
		f.shows("c_total", cd+"2")
		f.add("c_total", labels("kind", "book"), "1")
		f.shows("c_total", book+"1", cd+"2")
		f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: labels("kind", "cd")})
		f.shows("c_total", book+"1")
		f.commit("c_total", wire.Op{Kind: wire.OpClear})
		f.shows("c_total")
		f.add("c_total", labels("kind", "book"), "0")
		f.shows("c_total", book+"0")
		f.server.Wipe()
		clear(f.seq)
	}
}

// Two fields of a process may mean the same gauge, if somebody else stored one. The
// gauge is shown once, as the process stored it, whatever the order of the two.
func TestPage_ShowsAGaugeOfAProcessOnce(t *testing.T) {
	own := wire.Series{Field: wire.GaugeField("g", "a\xffx"), Text: "1"}
	foreign := []wire.Series{
		{Field: own.Field + "\xffb\xff", Text: "2"},
		{Field: "g\xff0b\xff\xffa\xffx", Text: "2"},
		{Field: "g\xffb\xff\xffa\xffx", Text: "2"},
	}
	for _, mode := range []string{"", wire.ModeSum, wire.ModeMax} {
		for _, entries := range [][]wire.Series{append(foreign[:3:3], own), append([]wire.Series{own}, foreign...)} {
			b := newBuilder(t.Context(), newCounts(), wire.AppState{})
			b.addGauges(wire.Lease{Index: 3}, wire.GaugesReply{Entries: entries})
			shown := &shownFamily{name: "g"}
			b.addGaugeRows(shown, mode)
			if !slices.Equal(shown.numbers, []float64{1}) {
				t.Errorf("mode %q shows %v", mode, shown.numbers)
			}
		}
	}
}

// A name that nobody writes under is most likely misspelt. The text format alone has
// comments for people.
func TestPage_NotesThatNothingBelongsToTheApp(t *testing.T) {
	f := newFixture(t)
	const note = `# shoal: Redis has no metric and no living process of the app "shop": is that its name?` + "\n"
	if body := text(t, f.page()); !strings.HasPrefix(body, note) {
		t.Errorf("the page begins with %q", body)
	}
	f.config.Held = func() *Held { return nil } // a process writes, and will be there itself
	if note := f.page().Note; note != "" {
		t.Errorf("a writer's page says %q", note)
	}
	f.config.Held = nil
	f.family("c_total", 1, counterDef(""))
	f.add("c_total", "", "1") // of one that is gone
	if note := f.page().Note; note != "" {
		t.Errorf("a page of totals says %q", note)
	}
}
