// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// filler writes to a store by the protocol alone, as a process in another
// language could.
type filler struct {
	t     *testing.T
	store wire.Store
	seq   map[string]uint64
	gen   map[string]string
}

func fill(t *testing.T, server *memstore.Server) *filler {
	return &filler{t, server.Store("shop"), map[string]uint64{}, map[string]string{}}
}

// family registers a family on behalf of a writer that came up at born.
func (f *filler) family(name string, born int64, d wire.Definition) (generation string) {
	f.t.Helper()
	r := f.store.Register(context.Background(), []wire.Registration{{
		Family: name, Writer: "w", Nonce: "new " + name, Born: born, Definition: d,
	}})[0]
	if r.Err != nil || r.Clash != "" {
		f.t.Fatalf("registering %s: %+v", name, r)
	}
	f.gen[name] = r.Generation
	return r.Generation
}

// add writes fields and texts by turns.
func (f *filler) add(name string, pairs ...string) {
	f.t.Helper()
	kind := wire.OpAdd
	for i := 0; i < len(pairs); i += 2 {
		f.seq[name]++
		r := f.store.Commit(context.Background(), []wire.Commit{{
			Family: name, Generation: f.gen[name], Writer: "w", Prev: f.seq[name] - 1, Seq: f.seq[name],
			Ops: []wire.Op{{Kind: kind, Field: pairs[i], Value: pairs[i+1]}},
		}})[0]
		if r.Status != wire.CommitOK {
			f.t.Fatalf("%s %q: %+v", name, pairs[i:i+2], r)
		}
	}
}

// process takes an index for a writer and writes its gauges.
func (f *filler) process(writer string, info wire.Info, ops ...wire.GaugeOp) {
	f.t.Helper()
	held, err := f.store.Hold(context.Background(), wire.HoldRequest{
		Writer: writer, Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: time.Hour, Info: info,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range ops {
		ops[i].Expire = time.Hour
	}
	status, err := f.store.WriteGauges(context.Background(), wire.GaugeWrite{
		Writer: writer, Index: held.Index, Version: 1, Full: true, Ops: ops,
	})
	if err != nil || status != wire.GaugesOK {
		f.t.Fatalf("writing gauges: %v, %v", status, err)
	}
}

func gaugeText(family, field, text string) wire.GaugeOp {
	return wire.GaugeOp{Field: wire.GaugeField(family, field), Value: text}
}

// labels gives the field of names and values by turns, in the order given.
func labels(pairs ...string) string {
	field := ""
	for i, p := range pairs {
		if i > 0 {
			field += wire.Separator
		}
		field += p
	}
	return field
}

func counterDef(help string) wire.Definition {
	return wire.Definition{Type: wire.TypeCounter, Help: help}
}

func histogramDef(bounds ...string) wire.Definition {
	return wire.Definition{Type: wire.TypeHistogram, Bounds: bounds}
}

func TestPage_BoundsChangedAtADeploy(t *testing.T) {
	server := memstore.New()
	f := fill(t, server)
	f.family("h", 1, histogramDef("1", "5", "10"))
	f.add("h", "", "1:2 5:3 10:4 +Inf:1 sum:60.5")
	f.family("h", 2, histogramDef("0.5", "1", "7"))
	f.add("h", "", "0.5:1 7:1 sum:6")
	want := samples{
		`h_bucket{le="0.5"}`:  1,
		`h_bucket{le="1"}`:    3,  // and the 2 up to 1
		`h_bucket{le="7"}`:    7,  // and those up to 5
		`h_bucket{le="+Inf"}`: 12, // and those up to 10
		"h_count":             12,
		"h_sum":               66.5,
	}
	stored(t, server).want(t, want)
	// The older writer registers once more, and changes nothing.
	f.family("h", 1, histogramDef("1", "5", "10"))
	stored(t, server).want(t, want)
}

func TestPage_TheYoungestWritersDefinitionIsShown(t *testing.T) {
	server := memstore.New()
	f := fill(t, server)
	f.family("c_total", 10, counterDef("young"))
	f.family("c_total", 5, counterDef("old"))
	f.family("g", 5, wire.Definition{Type: wire.TypeGauge, Mode: wire.ModeMax})
	f.family("g", 10, wire.Definition{Type: wire.TypeGauge, Mode: wire.ModeMin})
	f.add("c_total", "", "1")
	f.process("a", wire.Info{}, gaugeText("g", "", "1"))
	f.process("b", wire.Info{}, gaugeText("g", "", "2"))
	stored(t, server).want(t, samples{"g": 1})
	families, err := readOnly(t, server).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "c_total" && family.GetHelp() != "young" {
			t.Errorf("the help is %q", family.GetHelp())
		}
	}
}

func readOnly(t testing.TB, server *memstore.Server) *Registry {
	t.Helper()
	r := New()
	connectTo(t, server, r, Opts{ReadOnly: true})
	return r
}

func TestPage_EqualIdentitiesAreSummed(t *testing.T) {
	server := memstore.New()
	f := fill(t, server)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total",
		labels("a", "1", "b", "2"), "1",
		labels("b", "2", "a", "1"), "2", // another order
		labels("a", "1", "b", "2", "c", ""), "4", // an empty label is none
		labels("a", "1"), "8",
		labels("a", "1", "b", ""), "16",
		labels("b", "2"), "32")
	f.family("h", 1, histogramDef("1"))
	f.add("h", labels("a", "1", "b", "2"), "1:1 sum:1", labels("b", "2", "a", "1"), "1:1 +Inf:1 sum:9")
	page := stored(t, server)
	page.want(t, samples{`c_total{a="1",b="2"}`: 7, `c_total{a="1"}`: 24, `c_total{b="2"}`: 32})
	page.want(t, samples{`h_count{a="1",b="2"}`: 3, `h_sum{a="1",b="2"}`: 10})
}

func TestPage_OldAndNewLabelNamesLiveSideBySide(t *testing.T) {
	server := memstore.New()
	a, b := process(t, server, Opts{}), process(t, server, Opts{})
	a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"code"}).WithLabelValues("200").Inc()
	b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"code", "method"}).WithLabelValues("200", "GET").Inc()
	flush(t, a)
	flush(t, b)
	stored(t, server).want(t, samples{`c_total{code="200"}`: 1, `c_total{code="200",method="GET"}`: 1})
}

func TestPage_OfNamesThatClashTheFirstRegisteredIsShown(t *testing.T) {
	register := map[string]func(f *filler){
		"x": func(f *filler) {
			f.family("x", 1, histogramDef("1"))
			f.add("x", "", "1:1 sum:1")
		},
		"x_count": func(f *filler) {
			f.family("x_count", 1, counterDef(""))
			f.add("x_count", "", "5")
		},
	}
	for _, order := range [][]string{{"x", "x_count"}, {"x_count", "x"}} {
		server := memstore.New()
		f := fill(t, server)
		for _, name := range order {
			register[name](f)
			server.Advance(time.Second)
		}
		heard := new(troubles)
		r := New()
		connectTo(t, server, r, Opts{ReadOnly: true, OnError: heard.add})
		page := scrape(t, r)
		if order[0] == "x" {
			page.want(t, samples{"x_count": 1, "x_sum": 1})
		} else {
			page.want(t, samples{"x_count": 5})
			page.lacks(t, "x_sum")
		}
		if heard.count("omitted") != 1 || heard.count(order[1]) != 1 || heard.count("rename") != 1 {
			t.Errorf("heard %v", heard.all())
		}
		if n := selfValue(r, "shoal_omitted_families_total"); n != 1 {
			t.Errorf("%v families counted as omitted", n)
		}
	}
}

func TestPage_WhatIsCorruptLeavesTheRestValid(t *testing.T) {
	server := memstore.New()
	f := fill(t, server)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total", labels("a", "good"), "1")
	for field, text := range map[string]string{
		labels("a", "junk"):         "junk",
		labels("a", "nan"):          "NaN",
		labels("a", "inf"):          "+Inf",
		labels("a", "hex"):          "0x10",
		labels("a", "vector"):       "sum:1 count:1",
		labels("a", "empty"):        "",
		labels("le", "1"):           "1",
		labels("gauge_index", "1"):  "1",
		labels("__name__", "other"): "1",
		labels("a", "caf\xe9"):      "1",
		labels("a", "1", "a", "2"):  "1",
		labels("bad name", "1"):     "1",
		labels("no value"):          "1",
		labels("a", "x", ""):        "1",
	} {
		server.SetText("shop", "c_total", field, text)
	}
	f.family("h", 1, histogramDef("1"))
	f.add("h", labels("a", "good"), "1:1 sum:0.5")
	for i, text := range []string{"5", "1:x sum:1", "le:1 sum:1", "NaN:1 sum:1", "1:1  sum:1", "1:5 +Inf:-3 sum:1", "1:-1 sum:1"} {
		server.SetText("shop", "h", labels("a", fmt.Sprint(i)), text)
	}
	f.family("s", 1, wire.Definition{Type: wire.TypeSummary})
	f.add("s", labels("a", "good"), "sum:1 count:2")
	server.SetText("shop", "s", labels("a", "1"), "1:1 sum:1")
	server.SetText("shop", "s", labels("a", "2"), "sum:1 count:-2")
	f.family("last", 1, wire.Definition{Type: wire.TypeGauge, Mode: wire.ModeLatest})
	f.add("last") // nothing
	for i, text := range []string{"1", "1 2", "x 2 3", "1 x 3", "1 2 x", "1 2 3 4"} {
		server.SetText("shop", "last", labels("a", fmt.Sprint(i)), text)
	}
	server.SetText("shop", "last", labels("a", "good"), "7 2 0")
	f.family("falling", 1, histogramDef("2", "1"))
	f.add("falling", "", "1:1 sum:1")
	f.family("lost", 1, counterDef(""))
	server.LoseValues("shop", "lost")
	f.family("g", 1, wire.Definition{Type: wire.TypeGauge})
	f.family("odd", 1, wire.Definition{Type: wire.TypeGauge, Mode: "median"})
	f.process("a", wire.Info{Host: "a\"b\\c\nd"},
		gaugeText("g", "", "1"), gaugeText("g", labels("a", "x"), "abc"), gaugeText("g", labels("le", "1"), "1"),
		gaugeText("odd", "", "3"), gaugeText("nobody registered this", "", "4"))
	server.List("shop", "listed_only", "not a name", "")

	heard := new(troubles)
	r := New()
	connectTo(t, server, r, Opts{ReadOnly: true, OnError: heard.add})
	for range 2 { // read in full, and then by known fields
		page := scrape(t, r)
		page.want(t, samples{
			`c_total{a="good"}`: 1, `h_count{a="good"}`: 1, `s_count{a="good"}`: 2, `last{a="good"}`: 7,
			`g{gauge_index="0"}`: 1, `odd{gauge_index="0"}`: 3,
		})
		for _, prefix := range []string{"falling", "lost", "listed", "not", "nobody"} {
			page.lacks(t, prefix)
		}
	}
	if n := selfValue(r, "shoal_corrupt_values_total"); n < 2*20 {
		t.Errorf("%v corrupt values were counted", n)
	}
	for _, word := range []string{"c_total", "h,", "s,", "last,", "g,", "falling", "of lost: "} {
		if n := heard.count(word); n != 1 {
			t.Errorf("heard %d times of %q: %v", n, word, heard.all())
		}
	}
	if n := len(heard.all()); n != 2 {
		t.Errorf("%d reports of two pages, want one of values and one of metrics: %v", n, heard.all())
	}
}

func TestPage_ReadsTheSameWhicheverProcessAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		three(orders(a))
		a.NewHistogram(HistogramOpts{Name: "only_a", Buckets: []float64{1}}).Observe(3)
		b.NewSummary(SummaryOpts{Name: "only_b"}).Observe(4)
		gaugeIn(a).Set(1)
		gaugeIn(b).Set(2)
		flush(t, a)
		flush(t, b)
		want := stored(t, server)
		if len(want) < 8 {
			t.Errorf("the page has only %v", want)
		}
		for _, r := range []*Registry{a, b, readOnly(t, server)} {
			page := scrape(t, r)
			page.want(t, want)
			want.want(t, page)
		}
	})
}

func TestPage_NamesTheLiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Host: "web-1", Version: "1.2"})
		elapse(time.Second)
		reader := readOnly(t, server)
		list := func() samples {
			families, err := reader.Gather()
			if err != nil {
				t.Fatal(err)
			}
			return gathered(t, families)
		}
		page := list()
		page.want(t, samples{`shoal_instance_info{gauge_index="0",host="web-1",version="1.2"}`: 1, "shoal_instances": 1})
		if got := page[`shoal_instance_start_time_seconds{gauge_index="0"}`]; got != float64(started.UnixMicro())/1e6 {
			t.Errorf("start time %v", got)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		page = list()
		page.want(t, samples{"shoal_instances": 0})
		page.lacks(t, "shoal_instance_")
	})
}

func TestPage_ModesFoldTheLivingAndSkipNaN(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		values              []float64
		sum, max, min, mean float64
	}{
		{[]float64{1}, 1, 1, 1, 1},
		{[]float64{1, 2, 6}, 9, 6, 1, 3},
		{[]float64{nan, 2, nan, 4}, 6, 4, 2, 3},
		{[]float64{2, nan}, 2, 2, 2, 2},
		{[]float64{nan, nan}, nan, nan, nan, nan},
		{[]float64{-1, -3}, -4, -1, -3, -2},
		{[]float64{1, inf}, inf, inf, 1, inf},
		{[]float64{0, 0, 0, 8}, 8, 8, 0, 2},
	}
	for _, tt := range tests {
		server := memstore.New()
		f := fill(t, server)
		modes := map[string]string{"sum": wire.ModeSum, "max": wire.ModeMax, "min": wire.ModeMin, "avg": wire.ModeAvg}
		for name, mode := range modes {
			f.family(name, 1, wire.Definition{Type: wire.TypeGauge, Mode: mode})
		}
		for i, v := range tt.values {
			var ops []wire.GaugeOp
			for name := range modes {
				ops = append(ops, gaugeText(name, labels("a", "x"), formatGauge(v)))
			}
			f.process(fmt.Sprint("w", i), wire.Info{}, ops...)
		}
		stored(t, server).want(t, samples{
			`sum{a="x"}`: tt.sum, `max{a="x"}`: tt.max, `min{a="x"}`: tt.min, `avg{a="x"}`: tt.mean,
		})
	}
}

func TestPage_OfSeveralLatestTheNewestIsShown(t *testing.T) {
	server := memstore.New()
	f := fill(t, server)
	f.family("last", 1, wire.Definition{Type: wire.TypeGauge, Mode: wire.ModeLatest})
	server.SetText("shop", "last", labels("a", "1", "b", "2"), "1 100 0")
	server.SetText("shop", "last", labels("b", "2", "a", "1"), "2 300 0")
	server.SetText("shop", "last", labels("a", "1", "b", "2", "c", ""), "3 200 0")
	server.SetText("shop", "last", labels("a", "gone"), "4 100 200")
	stored(t, server).want(t, samples{`last{a="1",b="2"}`: 2})
}

// Series that come and go between two readings of one reader.
func TestPage_FollowsSeriesThatComeAndGo(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	reader := readOnly(t, server)
	v := orders(r)
	v.WithLabelValues("EUR", "cd").Inc()
	flush(t, r)
	scrape(t, reader).want(t, samples{eurCD: 1})
	v.WithLabelValues("EUR", "cd").Inc()
	flush(t, r)
	scrape(t, reader).want(t, samples{eurCD: 2})
	v.WithLabelValues("EUR", "book").Inc()
	flush(t, r)
	scrape(t, reader).want(t, samples{eurCD: 2, eurBook: 1})
	v.DeleteLabelValues("EUR", "cd")
	flush(t, r)
	scrape(t, reader).want(t, samples{eurBook: 1})
	v.Reset()
	v.WithLabelValues("USD", "book")
	flush(t, r)
	scrape(t, reader).want(t, samples{usdBook: 0})
	server.Wipe() // and the process gives it again what it knows
	scrape(t, r)
	scrape(t, reader).want(t, samples{usdBook: 0})
}

// Two fields of a process may mean the same gauge, if a stranger stored one: it is
// shown once, as the process stored it, whatever the order in which they come.
func TestPage_ShowsAGaugeOfAProcessOnce(t *testing.T) {
	own := wire.Series{Field: wire.GaugeField("g", "a\xffx"), Text: "1"}
	strangers := []wire.Series{
		{Field: own.Field + "\xffb\xff", Text: "2"},
		{Field: "g\xff0b\xff\xffa\xffx", Text: "2"},
		{Field: "g\xffb\xff\xffa\xffx", Text: "2"},
	}
	for _, mode := range []string{"", wire.ModeSum, wire.ModeMax} {
		for _, entries := range [][]wire.Series{append(strangers[:3:3], own), append([]wire.Series{own}, strangers...)} {
			b := newPageBuilder(t.Context(), New(), wire.AppState{})
			b.addGauges(wire.Lease{Index: 3}, wire.GaugesReply{Entries: entries})
			shown := &pageFamily{name: "g"}
			b.addGaugeRows(shown, mode)
			if !slices.Equal(shown.numbers, []float64{1}) {
				t.Errorf("mode %q shows %v", mode, shown.numbers)
			}
		}
	}
}
