// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

var public, admin = Labels{"server": "public"}, Labels{"server": "admin"}

func TestConstants_OtherValuesAreFurtherSeriesOfEveryType(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	for i, consts := range []Labels{public, admin, {"server": ""}} {
		n := float64(i + 1)
		r.NewCounter(CounterOpts{Name: "c_total", ConstLabels: consts}).Add(n)
		r.NewCounterVec(CounterOpts{Name: "cv_total", ConstLabels: consts}, []string{"code"}).WithLabelValues("200").Add(n)
		r.NewSummary(SummaryOpts{Name: "s", ConstLabels: consts}).Observe(n)
		r.NewHistogramVec(HistogramOpts{Name: "h", ConstLabels: consts, Buckets: []float64{1}}, []string{"code"}).
			WithLabelValues("200").Observe(n)
		for _, mode := range []Mode{PerProcess, Sum, Max, Min, Avg, Latest} {
			r.NewGauge(GaugeOpts{Name: "g_" + string(mode), ConstLabels: consts, Mode: mode}).Set(n)
		}
		r.NewGaugeVec(GaugeOpts{Name: "gv", ConstLabels: consts}, []string{"code"}).WithLabelValues("200").Set(n)
	}
	flush(t, r)
	wanted := samples{}
	for i, label := range []string{`server="public"`, `server="admin"`, ""} {
		n := float64(i + 1)
		with := func(name string, others ...string) string { // sorted by name: code, gauge_index, server
			var parts string
			for _, part := range append(others, label) {
				if part != "" {
					parts += "," + part
				}
			}
			if parts == "" {
				return name
			}
			return name + "{" + parts[1:] + "}"
		}
		wanted[with("c_total")] = n
		wanted[with("cv_total", `code="200"`)] = n
		wanted[with("s_sum")], wanted[with("s_count")] = n, 1
		wanted[with("h_sum", `code="200"`)], wanted[with("h_count", `code="200"`)] = n, 1
		for _, mode := range []Mode{Sum, Max, Min, Avg, Latest} {
			wanted[with("g_"+string(mode))] = n
		}
		wanted[with("g_", `gauge_index="0"`)] = n
		wanted[with("gv", `code="200"`, `gauge_index="0"`)] = n
	}
	stored(t, server).want(t, wanted)
}

func TestConstants_TheSameValuesGiveTheSameMetric(t *testing.T) {
	r := New()
	labels := []string{"code"}
	vecs := map[string]*CounterVec{}
	for _, value := range []string{"a", "b", "", "c"} {
		vecs[value] = r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"x": value, "y": "1"}}, labels)
	}
	seen := map[*Counter]string{}
	for value, v := range vecs {
		again := r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"y": "1", "x": value}}, labels)
		child := v.WithLabelValues("200")
		if again.With(Labels{"code": "200"}) != child {
			t.Errorf("x=%q: declared again it has another child", value)
		}
		if other, ok := seen[child]; ok {
			t.Errorf("x=%q and x=%q share a child", value, other)
		}
		seen[child] = value
	}
	one := r.NewGauge(GaugeOpts{Name: "g", ConstLabels: public})
	if r.NewGauge(GaugeOpts{Name: "g", ConstLabels: admin}) == one || r.NewGauge(GaugeOpts{Name: "g", ConstLabels: public}) != one {
		t.Error("a gauge without labels is not one for each set of constants")
	}
}

// One family has one help text, one type and one set of label names, as in client_golang.
func TestConstants_OtherNamesStayErrors(t *testing.T) {
	for name, second := range map[string]CounterOpts{
		"none":                {Name: "c_total"},
		"another name":        {Name: "c_total", ConstLabels: Labels{"zone": "public"}},
		"one more":            {Name: "c_total", ConstLabels: Labels{"server": "admin", "zone": "a"}},
		"another help":        {Name: "c_total", ConstLabels: admin, Help: "Other."},
		"label, not constant": {Name: "c_total"},
	} {
		r := New()
		r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: public}, []string{"code"})
		labels := []string{"code"}
		if name == "label, not constant" {
			labels = append(labels, "server")
		}
		_, err := r.RegisterCounterVec(second, labels)
		mentions(t, err, "constant labels", `server="public"`)
	}
	r := New()
	r.NewCounter(CounterOpts{Name: "x", ConstLabels: public})
	_, err := r.RegisterGauge(GaugeOpts{Name: "x", ConstLabels: admin})
	mentions(t, err, "counter x", "gauge x")
}

func TestConstants_ResetOfAGaugeLeavesOtherConstants(t *testing.T) {
	for _, mode := range []Mode{PerProcess, Sum, Latest} {
		server := memstore.New()
		r := process(t, server, Opts{})
		one := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: mode, ConstLabels: public}, []string{"code"})
		two := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: mode, ConstLabels: admin}, []string{"code"})
		one.WithLabelValues("200").Set(1)
		two.WithLabelValues("200").Set(2)
		flush(t, r)
		one.Reset()
		flush(t, r)
		left := `g{code="200",server="admin"}`
		if mode == PerProcess {
			left = `g{code="200",gauge_index="0",server="admin"}`
		}
		stored(t, server).want(t, samples{left: 2})
	}
}

// The cap holds for all sets of constants together. Each set has an overflow series of its
// own. What has no series leaves a process's table when it becomes crowded.
func TestConstants_ShareTheCapAndOverflowApart(t *testing.T) {
	const limit = 4
	over := func(consts Labels) string {
		return fmt.Sprintf(`c_total{code="shoal_overflow",server=%q}`, consts["server"])
	}
	server := memstore.New()
	full := process(t, server, Opts{SeriesLimit: limit})
	later := process(t, server, Opts{SeriesLimit: limit})
	count := func(r *Registry, consts Labels, codes ...string) {
		v := r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: consts}, []string{"code"})
		for _, code := range codes {
			v.WithLabelValues(code).Inc()
		}
	}
	count(full, public, "1", "2")
	count(full, admin, "1", "2")
	flush(t, full)
	count(full, admin, "3")
	count(full, public, "3", "4")
	flush(t, full)
	count(later, admin, "4", "5", "1")
	count(later, public, "5")
	flush(t, later)
	stored(t, server).want(t, samples{
		`c_total{code="1",server="public"}`: 1, `c_total{code="2",server="public"}`: 1, over(public): 3,
		`c_total{code="1",server="admin"}`: 2, `c_total{code="2",server="admin"}`: 1, over(admin): 3,
	})
	if n := full.byName["c_total"].table.series.Len(); n != limit {
		t.Errorf("%d children in this process, want the %d that have series", n, limit)
	}
}

func TestConstants_ACapOfSeriesRefusesNoMetricWithoutLabels(t *testing.T) {
	r := New()
	r.limit.Store(1)
	for i := range 3 {
		r.NewCounter(CounterOpts{Name: "c_total", ConstLabels: Labels{"n": strconv.Itoa(i)}}).Inc()
	}
	if n := selfValue(r, "shoal_overflowed_writes_total", "c_total"); n != 0 {
		t.Errorf("%v writes overflowed", n)
	}
}

func TestConstants_SyncTotalsAreOfTheOwnSeries(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	var group sync.WaitGroup
	const sets, times = 20, 20
	for i := range sets {
		group.Go(func() {
			c := r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"n": strconv.Itoa(i)}}, []string{"code"}).
				WithLabelValues("200")
			for k := range times {
				if total, err := c.AddSync(t.Context(), float64(i)); err != nil || total != float64(i*(k+1)) {
					t.Errorf("set %d: %v, %v; want %d", i, total, err, i*(k+1))
				}
			}
		})
	}
	group.Wait()
	wanted := samples{}
	for i := range sets {
		wanted[fmt.Sprintf(`c_total{code="200",n="%d"}`, i)] = float64(i * times)
	}
	stored(t, server).want(t, wanted)
}

func TestConstants_EachHasAGaugeFunctionOfItsOwn(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	for i, consts := range []Labels{public, admin, public} {
		r.NewGaugeFunc(GaugeOpts{Name: "g", Mode: Sum, ConstLabels: consts}, func() float64 { return float64(i + 1) })
	}
	flush(t, r)
	stored(t, server).want(t, samples{`g{server="public"}`: 1, `g{server="admin"}`: 2})
}
