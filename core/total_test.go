// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func cartsOpen(r *Registry) *Gauge {
	return r.NewGauge(GaugeOpts{Name: "carts_open", Mode: Total})
}

func rooms(r *Registry) *GaugeVec {
	return r.NewGaugeVec(GaugeOpts{Name: "rooms", Mode: Total, ConstLabels: Labels{"house": "1"}}, []string{"floor"})
}

const groundFloor, firstFloor = `rooms{floor="0",house="1"}`, `rooms{floor="1",house="1"}`

func TestTotal_IsWhatAllProcessesAddedThoseThatAreGoneToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		cartsOpen(a).Add(10)
		flush(t, a)
		cartsOpen(b).Sub(3)
		flush(t, b)
		want := func(v float64) {
			t.Helper()
			stored(t, server).want(t, samples{"carts_open": v})
		}
		want(7)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(7)
		cartsOpen(b).Dec()
		flush(t, b)
		cartsOpen(b).Add(1000) // only in its memory
		kill(t, b)
		elapse(time.Hour) // its lease and its gauges have long expired
		want(6)
		c := process(t, server, Opts{})
		cartsOpen(c).Inc()
		flush(t, c)
		want(7)
	})
}

func TestTotal_ItsZeroIsShownBeforeItsFirstEvent(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	cartsOpen(r)
	rooms(r).WithLabelValues("1")
	flush(t, r)
	stored(t, server).want(t, samples{"carts_open": 0, firstFloor: 0})
}

func TestTotal_CountsWholeNumbersAndFractionsUpAndDown(t *testing.T) {
	g := cartsOpen(New())
	for _, tt := range []struct {
		add  []float64
		want float64
	}{
		{[]float64{0, math.Copysign(0, -1)}, 0},
		{[]float64{5, -7}, -2},
		{[]float64{1 << 52, 1, -1 << 52, 1}, 2},
		{[]float64{1 << 31, -1 << 31, 1<<31 + 1, -1<<31 - 2}, -1},
		{[]float64{-1 << 62, 1 << 62}, 0},
		{[]float64{0.5, 3, -0.25}, 3.25},
		{[]float64{-math.SmallestNonzeroFloat64}, -math.SmallestNonzeroFloat64},
		{[]float64{1e308, 1e308}, math.MaxFloat64},
		{[]float64{-1e308, -1e308, -5}, -math.MaxFloat64},
		{[]float64{1}, 1}, // nothing is left of it
	} {
		for _, v := range tt.add {
			g.Add(v)
		}
		got := g.drain(nil)[0].Value
		if got != tt.want {
			t.Errorf("%v add up to %v, want %v", tt.add, got, tt.want)
		}
	}
}

// Redis too keeps sums finite, and whole numbers exact.
func TestTotal_NumbersAtTheEdgesAddUpInTheStore(t *testing.T) {
	server := memstore.New()
	a, b := process(t, server, Opts{}), process(t, server, Opts{})
	value := 0.0
	for _, v := range []float64{5, -5, -(1<<53 - 1), 1<<53 - 1, 0.1, -0.1, -2.5, math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, 3} {
		value = wire.Clamp(value + v)
		cartsOpen(a).Add(v)
		flush(t, a)
		stored(t, server).want(t, samples{"carts_open": value})
		a, b = b, a
	}
}

func TestGauge_RefusesWhatItsModeDoesNotAllow(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		mode   Mode
		reason string
		do     map[string]func(*Gauge) error
	}{
		{Total, reasonSetOnTotal, map[string]func(*Gauge) error{
			"Set":              func(g *Gauge) error { g.Set(5); return nil },
			"Set to NaN":       func(g *Gauge) error { g.Set(math.NaN()); return nil },
			"SetToCurrentTime": func(g *Gauge) error { g.SetToCurrentTime(); return nil },
			"SetSync":          func(g *Gauge) error { return g.SetSync(ctx, 5) },
		}},
		{Total, reasonNaN, map[string]func(*Gauge) error{
			"Add":     func(g *Gauge) error { g.Add(math.NaN()); return nil },
			"AddSync": func(g *Gauge) error { return g.AddSync(ctx, math.NaN()) },
		}},
		{Total, reasonInfinite, map[string]func(*Gauge) error{
			"Add":     func(g *Gauge) error { g.Add(math.Inf(-1)); return nil },
			"Sub":     func(g *Gauge) error { g.Sub(math.Inf(-1)); return nil },
			"AddSync": func(g *Gauge) error { return g.AddSync(ctx, math.Inf(1)) },
		}},
		{Latest, reasonAddOnLatest, map[string]func(*Gauge) error{
			"Add":     func(g *Gauge) error { g.Add(5); return nil },
			"Add NaN": func(g *Gauge) error { g.Add(math.NaN()); return nil },
			"Add 0":   func(g *Gauge) error { g.Add(0); return nil },
			"Inc":     func(g *Gauge) error { g.Inc(); return nil },
			"Dec":     func(g *Gauge) error { g.Dec(); return nil },
			"Sub":     func(g *Gauge) error { g.Sub(5); return nil },
			"AddSync": func(g *Gauge) error { return g.AddSync(ctx, 5) },
		}},
	} {
		for name, do := range tt.do {
			for _, labelled := range []bool{false, true} {
				server, r, heard := memstore.New(), New(), new(troubles)
				var g *Gauge
				if opts := (GaugeOpts{Name: "g", Mode: tt.mode}); labelled {
					g = r.NewGaugeVec(opts, []string{"a"}).WithLabelValues("1")
				} else {
					g = r.NewGauge(opts)
				}
				series := map[bool]string{false: "g", true: `g{a="1"}`}[labelled]
				connectTo(t, server, r, Opts{OnError: heard.add})
				want := samples{series: 0}
				if tt.mode == Latest {
					want[series] = 7
					if err := g.SetSync(ctx, 7); err != nil {
						t.Fatal(err)
					}
				}
				err := do(g)
				if sync := name == "SetSync" || name == "AddSync"; sync != errors.Is(err, ErrRejected) {
					t.Errorf("%s %s: %v", tt.mode, name, err)
				} else if sync {
					mentions(t, err, `gauge "g"`, tt.reason)
				}
				flush(t, r)
				stored(t, server).want(t, want)
				if n := rejectedFor(t, r, tt.reason); n != 1 {
					t.Errorf("%s %s is counted %v times as %s", tt.mode, name, n, tt.reason)
				}
				if heard.count("gauge g: a value was dropped") != 1 || heard.count(tt.reason) != 1 {
					t.Errorf("%s %s is reported as %v", tt.mode, name, heard.all())
				}
			}
		}
	}
}

// rejectedFor is what the registry's page counts of a reason.
func rejectedFor(t testing.TB, r *Registry, reason string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return gathered(t, families)[`shoal_rejected_observations_total{reason="`+reason+`"}`]
}

// Modes other than Total and Latest take both Set and Add.
func TestGauge_ModesOfAProcessTakeSetAndAdd(t *testing.T) {
	for _, mode := range []Mode{PerProcess, Sum, Max, Min, Avg} {
		r := New()
		g := r.NewGauge(GaugeOpts{Name: "g", Mode: mode})
		g.Set(5)
		g.Sub(2)
		g.Add(math.Inf(1))
		g.Set(1)
		g.Inc()
		if got := g.value(); got != 2 {
			t.Errorf("%q: %v, want 2", mode, got)
		}
		for _, reason := range []string{reasonSetOnTotal, reasonAddOnLatest, reasonInfinite} {
			if n := selfValue(r, "shoal_rejected_observations_total", reason); n != 0 {
				t.Errorf("%q: %v values were refused: %s", mode, n, reason)
			}
		}
	}
}

func TestTotal_DeletedForAllProcessesItCountsFromZero(t *testing.T) {
	for name, remove := range map[string]func(*GaugeVec){
		"Delete":             func(v *GaugeVec) { v.Delete(Labels{"floor": "1"}) },
		"DeleteLabelValues":  func(v *GaugeVec) { v.DeleteLabelValues("1") },
		"DeletePartialMatch": func(v *GaugeVec) { v.DeletePartialMatch(Labels{"floor": "1", "house": "1"}) },
	} {
		for _, sent := range []bool{false, true} {
			server := memstore.New()
			a, b := process(t, server, Opts{Interval: time.Hour}), process(t, server, Opts{Interval: time.Hour})
			old := rooms(a).WithLabelValues("1")
			old.Add(5)
			rooms(a).WithLabelValues("0").Dec()
			flush(t, a)
			remover := rooms(b)
			if sent {
				remover = rooms(a)
				old.Add(100) // dropped with it
			}
			remove(remover)
			flush(t, a)
			flush(t, b)
			stored(t, server).want(t, samples{groundFloor: -1})
			old.Sub(2) // through a handle from before
			flush(t, a)
			stored(t, server).want(t, samples{groundFloor: -1, firstFloor: -2})
			remover.Reset()
			flush(t, a)
			flush(t, b)
			stored(t, server).lacks(t, "rooms")
			old.Inc()
			old.Dec()
			flush(t, a)
			if sent {
				stored(t, server).lacks(t, "rooms") // the child is gone, and adding 0 does not bring it back
			}
			rooms(b).WithLabelValues("0").Sub(0.5)
			flush(t, b)
			if got := stored(t, server)[groundFloor]; got != -0.5 {
				t.Errorf("%s: %v, want -0.5", name, got)
			}
		}
	}
}

func TestTotal_BeyondTheCapAddsUpInTheOverflowSeries(t *testing.T) {
	server := memstore.New()
	a := process(t, server, Opts{SeriesLimit: 2})
	b := process(t, server, Opts{SeriesLimit: 2})
	for i, floor := range []string{"0", "1", "2", "3"} {
		rooms(a).WithLabelValues(floor).Add(float64(10 * (i + 1)))
	}
	flush(t, a)
	rooms(b).WithLabelValues("4").Sub(1) // below its own cap, and above that of Redis
	rooms(b).WithLabelValues("0").Sub(2)
	flush(t, b)
	stored(t, server).want(t, samples{groundFloor: 8, firstFloor: 20, `rooms{floor="shoal_overflow",house="1"}`: 69})
}

func TestTotal_AddSyncWaitsAndSaysOnlyWhetherRedisHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{Interval: time.Hour}), process(t, server, Opts{Interval: time.Hour})
		synctest.Wait()
		if err := errors.Join(cartsOpen(a).AddSync(t.Context(), 5), cartsOpen(b).AddSync(t.Context(), -7.5)); err != nil {
			t.Fatal(err)
		}
		stored(t, server).want(t, samples{"carts_open": -2.5})
		server.LoseReply(once(memstore.OpCommit + " carts_open"))
		if err := cartsOpen(a).AddSync(t.Context(), 2.5); err != nil {
			t.Fatal(err)
		}
		server.LoseReply(nil)
		stored(t, server).want(t, samples{"carts_open": 0})
		server.Fail(away)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := cartsOpen(a).AddSync(ctx, -4); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while Redis is away: %v", err)
		}
		server.Fail(nil)
		elapse(time.Minute)
		flush(t, a)
		stored(t, server).want(t, samples{"carts_open": -4})
	})
}

// once makes the first operation of this name fail.
func once(name string) func(string) error {
	done := false
	return func(op string) error {
		if op != name || done {
			return nil
		}
		done = true
		return errBroken
	}
}

// After a step back the writer brings the sum back, as a counter's. A wipe takes the sum.
func TestTotal_AfterAStepBackIsWholeAndAfterAWipeBeginsAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		g := cartsOpen(r)
		g.Add(5)
		flush(t, r)
		before := server.Snapshot()
		g.Sub(8)
		flush(t, r)
		server.Restore(before)
		elapse(time.Minute)
		stored(t, server).want(t, samples{"carts_open": -3})
		server.Wipe()
		elapse(time.Minute)
		stored(t, server).want(t, samples{"carts_open": 0})
		g.Dec()
		flush(t, r)
		stored(t, server).want(t, samples{"carts_open": -1})
	})
}

// What processes write in one mode is kept while another mode is shown, in whatever order
// processes of different modes start, write and end.
func TestTotal_AndOtherModesOfTheNameKeepWhatIsTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		heard := new(troubles)
		reader := New() // what it remembers of the family outlasts each change of mode
		connectTo(t, server, reader, Opts{ReadOnly: true, OnError: heard.add})
		// Registries of one process are equally young, so the last to register
		// decides; within these seconds nobody registers again.
		start := func(mode Mode) (*Registry, *GaugeVec) {
			elapse(time.Second)
			r := New()
			v := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: mode}, []string{"a"})
			connectTo(t, server, r, Opts{Interval: time.Hour, OnError: heard.add})
			flush(t, r)
			return r, v
		}
		shows := func(want samples) {
			t.Helper()
			scrape(t, reader).want(t, want)
			stored(t, server).want(t, want)
		}
		sum, s := start(Sum)
		s.WithLabelValues("x").Set(5)
		flush(t, sum)
		shows(samples{`g{a="x"}`: 5})
		total, n := start(Total)
		n.WithLabelValues("x").Dec()
		flush(t, total)
		shows(samples{`g{a="x"}`: -1}) // what the old one set is not in it
		s.WithLabelValues("x").Set(6)
		flush(t, sum)
		shows(samples{`g{a="x"}`: -1})
		last, l := start(Latest)
		scrape(t, reader).lacks(t, "g")
		l.WithLabelValues("x").Set(100)
		l.WithLabelValues("y").Set(200)
		flush(t, last)
		shows(samples{`g{a="x"}`: 100, `g{a="y"}`: 200})
		n.WithLabelValues("x").Sub(2)
		n.WithLabelValues("z").Add(0.5)
		flush(t, total)
		l.WithLabelValues("x").Set(101)
		flush(t, last)
		shows(samples{`g{a="x"}`: 101, `g{a="y"}`: 200})
		back, again := start(Total) // the deploy is rolled back
		shows(samples{`g{a="x"}`: -3, `g{a="z"}`: 0.5})
		again.WithLabelValues("x").Add(4)
		flush(t, back)
		shows(samples{`g{a="x"}`: 1, `g{a="z"}`: 0.5})
		_, _ = start(PerProcess)
		shows(samples{`g{a="x",gauge_index="0"}`: 6})
		_, _ = start(Total)
		shows(samples{`g{a="x"}`: 1, `g{a="z"}`: 0.5})
		again.DeletePartialMatch(Labels{"a": "x"}) // whichever process wrote it
		flush(t, back)
		shows(samples{`g{a="z"}`: 0.5})
		_, _ = start(Latest)
		shows(samples{`g{a="y"}`: 200})
		for _, err := range heard.all() {
			t.Errorf("reported: %v", err)
		}
	})
}

func TestTotal_IsNoGaugeFunctionAndNeverExpires(t *testing.T) {
	r := New()
	_, err := r.RegisterGaugeFunc(GaugeOpts{Namespace: "shop", Name: "g", Mode: Total}, func() float64 { return 1 })
	mentions(t, err, `"shop_g"`, "Total", "NewGauge")
	if slices.ContainsFunc(*r.families.Load(), func(f *family) bool { return f.def.name == "shop_g" }) {
		t.Error("the function's gauge is declared nevertheless")
	}
	_, err = r.RegisterGauge(GaugeOpts{Name: "g", Mode: Total, Expire: time.Hour})
	mentions(t, err, `"g"`, "Expire", "Total")
	if _, err := r.RegisterGauge(GaugeOpts{Name: "g", Mode: Total}); err != nil {
		t.Error(err)
	}
	_, err = r.RegisterGauge(GaugeOpts{Name: "g", Mode: Sum})
	mentions(t, err, "mode total", "mode sum")
}
