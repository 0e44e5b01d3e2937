// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// The promise of the mode Total, with processes of the operating system: what
// one counts up and another down adds up, though the first closes and the
// second is killed.
func TestTotal_StaysRightWhenOneProcessClosesAndAnotherIsKilled(t *testing.T) {
	f := newFleet(t)
	reader := f.reader(t)
	lease := func(c *childConfig) { c.Lease = 300 * time.Millisecond }
	a, b := f.spawn(t, lease), f.spawn(t, lease, func(c *childConfig) { c.Every = time.Hour })
	a.tell("carts 10")
	a.tell("flush")
	b.tell("carts -3")
	b.tell("flush")
	scrape(t, reader).want(t, "carts_open", "7")
	a.tell("carts 1")
	a.tell("carts -1")
	a.tell("close")
	scrape(t, reader).want(t, "carts_open", "7")
	b.tell("carts 100") // in its memory only
	b.kill()
	scrape(t, reader).want(t, "carts_open", "7")
	eventuallyPage(t, reader, func(p page) error { return p.has("shoal_instances", "0") })
	scrape(t, reader).want(t, "carts_open", "7") // its lease is over too
	c := f.spawn(t)
	c.tell("carts -7.5")
	c.tell("flush")
	scrape(t, reader).want(t, "carts_open", "-0.5")
}

// What a process of another mode writes under the name is not in the sum and
// does not harm it. The youngest process's mode is shown.
func TestTotal_TheModeMayChangeAtADeployAndBack(t *testing.T) {
	for _, old := range []shoal.Mode{shoal.Sum, shoal.PerProcess, shoal.Latest} {
		t.Run("from "+string(old), func(t *testing.T) {
			f := newFleet(t)
			reader := f.reader(t)
			mode := func(m shoal.Mode) func(*childConfig) { return func(c *childConfig) { c.Carts = m } }
			was := map[shoal.Mode]string{shoal.PerProcess: `carts_open{gauge_index="0"}`}[old]
			if was == "" {
				was = "carts_open"
			}
			a := f.spawn(t, mode(old))
			a.tell("setcarts 5")
			a.tell("flush")
			scrape(t, reader).want(t, was, "5")

			b := f.spawn(t, mode(shoal.Total)) // the deploy
			b.tell("carts -2")
			b.tell("flush")
			onlyShows(t, reader, "carts_open", "-2")
			a.tell("setcarts 6") // the old one goes on, and registers again
			a.tell("flush")
			passes(t, f.redis, 300*time.Millisecond)
			onlyShows(t, reader, "carts_open", "-2")

			c := f.spawn(t, mode(old)) // back
			c.tell("flush")
			scrape(t, reader).want(t, was, "6")
			b.tell("carts 3")
			b.tell("close")

			d := f.spawn(t, mode(shoal.Total)) // and forward again
			d.tell("carts 10")
			d.tell("flush")
			onlyShows(t, reader, "carts_open", "11")
			p := scrape(t, reader)
			if err := errors.Join(p.has("shoal_corrupt_values_total", "0"), p.has("shoal_omitted_families_total", "0")); err != nil {
				t.Error(err)
			}
		})
	}
}

// onlyShows wants a family to be one sample.
func onlyShows(t *testing.T, reader *shoal.Registry, series, want string) {
	t.Helper()
	p := scrape(t, reader)
	p.want(t, series, want)
	if n := len(p.of(series)); n != 1 {
		t.Errorf("the page shows %q", p.of(series))
	}
}

func TestTotal_ItsZeroIsShownAndItsNumbersAddUpInRedis(t *testing.T) {
	f := newFleet(t)
	one, two, reader := f.process(t), f.process(t), f.reader(t)
	opts := shoal.GaugeOpts{Name: "open", Mode: shoal.Total}
	g, h := one.NewGaugeVec(opts, []string{"kind"}), two.NewGaugeVec(opts, []string{"kind"})
	g.WithLabelValues("none")
	sums := map[string]float64{"none": 0}
	for kind, values := range map[string][]float64{
		"whole": {5, -7, 1 << 52, -1 << 52, -1<<53 + 1, 1<<53 - 1}, "zero": {-1, 1, math.Copysign(0, -1)},
		"fraction": {0.1, -0.3, 1.5e-7, -1e-5}, "huge": {1e308, 1e308, -1e308, -2},
	} {
		for i, v := range values {
			m := g
			if i%2 == 1 {
				m = h
			}
			if err := m.WithLabelValues(kind).AddSync(within(t), v); err != nil {
				t.Fatal(err)
			}
			sums[kind] = max(-math.MaxFloat64, min(math.MaxFloat64, sums[kind]+v))
		}
	}
	p := scrape(t, reader)
	for kind, want := range sums {
		if got, ok := p.value(fmt.Sprintf(`open{kind=%q}`, kind)); !ok || got != want {
			t.Errorf("%s is %v, want %v", kind, got, want)
		}
	}
	for _, refused := range []error{
		g.WithLabelValues("whole").SetSync(within(t), 3), g.WithLabelValues("whole").AddSync(within(t), math.NaN()),
	} {
		if !errors.Is(refused, shoal.ErrRejected) {
			t.Errorf("the error is %v", refused)
		}
	}
}

func TestTotal_DeleteAndResetActForTheFleet(t *testing.T) {
	f := newFleet(t)
	one, two := f.process(t), f.process(t)
	opts := shoal.GaugeOpts{Name: "open", Mode: shoal.Total}
	g, h := one.NewGaugeVec(opts, []string{"kind"}), two.NewGaugeVec(opts, []string{"kind"})
	for _, kind := range []string{"a", "b", "c"} {
		g.WithLabelValues(kind).Add(5)
		h.WithLabelValues(kind).Sub(1)
	}
	flush(t, one, two)
	h.DeleteLabelValues("a")
	g.DeletePartialMatch(shoal.Labels{"kind": "b"})
	flush(t, two, one)
	reader := f.reader(t)
	scrape(t, reader).want(t, `open{kind="c"}`, "4")
	if n := len(scrape(t, reader).of("open")); n != 1 {
		t.Errorf("the page shows %q", scrape(t, reader).of("open"))
	}
	g.WithLabelValues("a").Dec()
	flush(t, one)
	scrape(t, reader).want(t, `open{kind="a"}`, "-1", `open{kind="c"}`, "4")
	h.Reset()
	flush(t, two)
	if err := scrape(t, reader).lacks("open"); err != nil {
		t.Error(err)
	}
}
