// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
)

// The cap of series is the fleet's: processes that each stay below it don't
// exceed it together, and nothing that they count is lost.
func TestCap_HoldsForTheFleetWithOneOverflowSeries(t *testing.T) {
	f := newFleet(t)
	const limit, processes, each = 10, 4, 8
	limited := func(o *shoal.Opts) { o.SeriesLimit = limit }
	var regs []*shoal.Registry
	for i := range processes {
		reg := f.process(t, limited)
		c := reg.NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path", "code"})
		h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}, []string{"path"})
		for k := range each {
			path := fmt.Sprintf("/%d/%d", i, k)
			c.WithLabelValues(path, "200").Add(2)
			h.WithLabelValues(path).Observe(0.5)
		}
		flush(t, reg)
		regs = append(regs, reg)
	}
	p := scrape(t, regs[0])
	series, total := p.of("paths_total"), 0.0
	for line := range p.samples {
		if familyOf(line) == "paths_total" {
			v, _ := p.value(line)
			total += v
		}
	}
	if len(series) != limit+1 || total != 2*processes*each {
		t.Errorf("%d series with %v in total, want %d with %d: %q", len(series), total, limit+1, 2*processes*each, series)
	}
	const spare = processes*each - limit
	p.want(t, `paths_total{code="shoal_overflow",path="shoal_overflow"}`, fmt.Sprint(2*spare),
		`took_seconds_count{path="shoal_overflow"}`, fmt.Sprint(spare),
		`took_seconds_bucket{path="shoal_overflow",le="1"}`, fmt.Sprint(spare))
	if n := len(p.of("took_seconds_count")); n != limit+1 {
		t.Errorf("%d histograms, want %d", n, limit+1)
	}
	// Series that are there go on, and what others add to them counts.
	c := regs[3].NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path", "code"})
	c.WithLabelValues("/0/0", "200").Inc()
	flush(t, regs[3])
	p = scrape(t, regs[1])
	p.want(t, `paths_total{code="200",path="/0/0"}`, "3")
	if v, ok := p.value(`shoal_overflowed_writes_total{family="paths_total"}`); !ok || v == 0 {
		t.Error("no self-metric tells of the overflow")
	}
}

// Metrics that differ in a constant label share the cap, and what exceeds it in
// Redis goes to an overflow series with the constant label of what was counted.
func TestCap_IsSharedByTheConstantLabelsWhichOverflowApart(t *testing.T) {
	f := newFleet(t)
	const limit = 4
	first, second := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = limit }), f.process(t, func(o *shoal.Opts) { o.SeriesLimit = limit })
	observe := func(reg *shoal.Registry, server string, codes ...string) {
		consts := shoal.Labels{"server": server}
		c := reg.NewCounterVec(shoal.CounterOpts{Name: "requests_total", ConstLabels: consts}, []string{"code"})
		h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds", ConstLabels: consts, Buckets: []float64{1}}, []string{"code"})
		for _, code := range codes {
			c.WithLabelValues(code).Inc()
			h.WithLabelValues(code).Observe(0.5)
		}
	}
	observe(first, "public", "1", "2")
	observe(first, "admin", "1", "2")
	flush(t, first)
	observe(second, "public", "2", "3", "4")
	observe(second, "admin", "2", "5")
	flush(t, second)
	p := scrape(t, f.reader(t))
	for _, name := range []string{"requests_total", "took_seconds_count"} {
		p.want(t, name+`{code="1",server="public"}`, "1", name+`{code="2",server="public"}`, "2",
			name+`{code="1",server="admin"}`, "1", name+`{code="2",server="admin"}`, "2",
			name+`{code="shoal_overflow",server="public"}`, "2", name+`{code="shoal_overflow",server="admin"}`, "1")
		if n := len(p.of(name)); n != 6 {
			t.Errorf("%d series of %s: %q", n, name, p.of(name))
		}
	}
}

func TestCap_AwaitedAddsBeyondItAreConfirmedToo(t *testing.T) {
	f := newFleet(t)
	one := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = 2 })
	two := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = 2 })
	opts := shoal.CounterOpts{Name: "paths_total"}
	a, b := one.NewCounterVec(opts, []string{"path"}), two.NewCounterVec(opts, []string{"path"})
	for i, want := range []float64{1, 1, 1, 2, 3} { // two of their own, then all in one
		if total, err := a.WithLabelValues(fmt.Sprint(i)).IncSync(within(t)); err != nil || total != want {
			t.Errorf("path %d gives %v, %v; want %v", i, total, err, want)
		}
	}
	if total, err := b.WithLabelValues("x").AddSync(within(t), 10); err != nil || total != 13 {
		t.Errorf("another process's gives %v, %v; want 13", total, err)
	}
	scrape(t, one).want(t, `paths_total{path="shoal_overflow"}`, "13", `paths_total{path="0"}`, "1")
}

// A deletion makes room again.
func TestCap_DeletingMakesRoom(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = 2 })
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "paths_total"}, []string{"path"})
	for _, path := range []string{"a", "b", "c"} {
		v.WithLabelValues(path).Inc()
	}
	flush(t, reg)
	v.Reset()
	v.WithLabelValues("d").Add(4)
	flush(t, reg)
	p := scrape(t, reg)
	p.want(t, `paths_total{path="d"}`, "4")
	if n := len(p.of("paths_total")); n != 1 {
		t.Errorf("the page shows %q", p.of("paths_total"))
	}
}
