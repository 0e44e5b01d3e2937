// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// forms are the four ways to ask for a child, of any type of metric.
type forms struct {
	values func(values ...string) (any, error)
	labels func(labels Labels) (any, error)
	// The two that panic:
	mustValues func(values ...string) any
	mustLabels func(labels Labels) any
}

func formsOf[M Counter | Gauge | Summary | Histogram](v *Vec[M]) forms {
	return forms{
		func(values ...string) (any, error) { return v.GetMetricWithLabelValues(values...) },
		func(labels Labels) (any, error) { return v.GetMetricWith(labels) },
		func(values ...string) any { return v.WithLabelValues(values...) },
		func(labels Labels) any { return v.With(labels) },
	}
}

func allVecs(r *Registry) map[string]forms {
	names := []string{"method", "code"}
	return map[string]forms{
		"counter":   formsOf(r.NewCounterVec(CounterOpts{Name: "c"}, names)),
		"gauge":     formsOf(r.NewGaugeVec(GaugeOpts{Name: "g"}, names)),
		"summary":   formsOf(r.NewSummaryVec(SummaryOpts{Name: "s"}, names)),
		"histogram": formsOf(r.NewHistogramVec(HistogramOpts{Name: "h"}, names)),
	}
}

func TestVec_EveryFormGivesTheSameChild(t *testing.T) {
	for kind, v := range allVecs(New()) {
		labels := Labels{"code": "200", "method": "GET"}
		before := maps.Clone(labels)
		values := []string{"GET", "200"}
		child := v.mustValues(values...)
		values[0] = "reused by the caller"
		byLabels, err := v.labels(labels)
		byValues, err2 := v.values("GET", "200")
		if err != nil || err2 != nil || byLabels != child || byValues != child || v.mustLabels(labels) != child {
			t.Errorf("%s: one label set has several children (%v, %v)", kind, err, err2)
		}
		if !maps.Equal(labels, before) {
			t.Errorf("%s: the caller's labels became %v", kind, labels)
		}
		if v.mustValues("200", "GET") == child {
			t.Errorf("%s: the order of the values does not matter", kind)
		}
	}
}

func TestVec_RefusesMissingAndSurplusLabels(t *testing.T) {
	valueSets := [][]string{nil, {"GET"}, {"GET", "200", "x"}}
	labelSets := []Labels{
		nil, {"method": "GET"}, {"method": "GET", "status": "200"},
		{"method": "GET", "code": "200", "path": "/"},
	}
	r := New()
	for kind, v := range allVecs(r) {
		name := fmt.Sprintf("%q", kind[:1])
		for _, values := range valueSets {
			_, err := v.values(values...)
			mentions(t, err, kind, name, `"method"`, `"code"`)
			if message := mustPanic(t, func() { v.mustValues(values...) }); message != err.Error() {
				t.Errorf("%s: panics with %q and returns %q", kind, message, err)
			}
		}
		for _, labels := range labelSets {
			_, err := v.labels(labels)
			mentions(t, err, kind, name, `"method"`, `"code"`)
			mustPanic(t, func() { v.mustLabels(labels) })
		}
		if n := r.byName[kind[:1]].table.series.Len(); n != 0 {
			t.Errorf("%s: refused calls left %d children", kind, n)
		}
	}
}

func TestVec_RepairsLabelValuesAndCountsThem(t *testing.T) {
	long := strings.Repeat("x", maxLabelValue-1) + "äöü"
	tests := []struct{ given, want, reason string }{
		{"caf\xe9", "caf\uFFFD", reasonInvalidUTF8},
		{"\xff", "\uFFFD", reasonInvalidUTF8},
		{"a\x00\n\"\\b", "a\x00\n\"\\b", ""},
		{"", "", ""},
		{strings.Repeat("x", maxLabelValue), strings.Repeat("x", maxLabelValue), ""},
		{long, long[:maxLabelValue-1], reasonLongLabel}, // no half of a rune
	}
	for _, tt := range tests {
		r := New()
		v := r.NewCounterVec(CounterOpts{Name: "c"}, []string{"a"})
		c := v.WithLabelValues(tt.given)
		if got := c.values[0]; got != tt.want {
			t.Errorf("%.20q became %.20q, want %.20q", tt.given, got, tt.want)
		}
		if v.WithLabelValues(tt.given) != c || v.WithLabelValues(tt.want) != c {
			t.Errorf("%.20q and its repaired form are different series", tt.given)
		}
		if tt.reason != "" {
			if got := selfValue(r, "shoal_rejected_observations_total", tt.reason); got == 0 {
				t.Errorf("%.20q: %s was not counted", tt.given, tt.reason)
			}
		}
	}
}

func TestVec_BeyondTheLimitOneChildTakesAll(t *testing.T) {
	r := New()
	r.limit.Store(1) // of which there is twice as much room
	v := r.NewCounterVec(CounterOpts{Name: "c"}, []string{"a", "b"})
	first := v.WithLabelValues("1", "x")
	v.WithLabelValues("2", "x")
	third, fourth := v.WithLabelValues("3", "x"), v.WithLabelValues("4", "x")
	if third != fourth || third == first {
		t.Error("label sets beyond the limit do not share one child")
	}
	for _, value := range third.values {
		if value != overflowValue {
			t.Errorf("the overflow child has the label value %q", value)
		}
	}
	if v.WithLabelValues("1", "x") != first {
		t.Error("a child from before the limit is out of reach")
	}
	if got := selfValue(r, "shoal_overflowed_writes_total", "c"); got != 2 {
		t.Errorf("%v overflowed writes counted, want 2", got)
	}
}

// The metrics that count overflows can't overflow themselves: that would count
// another overflow, and so on for ever.
func TestVec_OverflowsOfManyFamiliesAreCounted(t *testing.T) {
	r := New()
	r.limit.Store(1)
	for _, name := range []string{"c1", "c2", "c3"} {
		v := r.NewCounterVec(CounterOpts{Name: name}, []string{"a"})
		v.WithLabelValues("1")
		v.WithLabelValues("2")
		v.WithLabelValues("3\xff").Add(-1)
	}
	for _, name := range []string{"c1", "c2", "c3"} {
		if got := selfValue(r, "shoal_overflowed_writes_total", name); got != 1 {
			t.Errorf("%s: %v overflowed writes counted, want 1", name, got)
		}
	}
}

func TestVec_KeepsNothingOfTheCallersBuffer(t *testing.T) {
	v := New().NewCounterVec(CounterOpts{Name: "c"}, []string{"a"})
	buf := []byte("EUR")
	c := v.WithLabelValues(unsafe.String(&buf[0], len(buf)))
	v.Delete(Labels{"a": unsafe.String(&buf[0], len(buf))})
	v.DeletePartialMatch(Labels{"a": unsafe.String(&buf[0], len(buf))})
	copy(buf, "CHF")
	deletions := v.consts.fam.deletions
	if c.values[0] != "EUR" || c.field != "a\xffEUR" || !deletions.fields[c.field] || !deletions.matchField(c.field) {
		t.Errorf("a child for EUR has become %q, %q, and its deletions %v", c.values, c.field, deletions)
	}
}

func TestVec_AChildHoldsItsLabelValuesOnce(t *testing.T) {
	v := New().NewCounterVec(CounterOpts{Name: "c", ConstLabels: Labels{"b": "1"}}, []string{"c", "empty", "a"})
	c := v.WithLabelValues("2", "", "0")
	if !slices.Equal(c.values, []string{"2", "", "0"}) {
		t.Fatalf("the values are %q", c.values)
	}
	for _, value := range []string{c.values[0], c.values[2]} {
		if at := strings.Index(c.field, "\xff"+value) + 1; unsafe.StringData(value) != unsafe.StringData(c.field[at:]) {
			t.Errorf("%q is not a part of the field %q", value, c.field)
		}
	}
}

func TestVec_ConcurrentAskersShareOneChild(t *testing.T) {
	v := New().NewHistogramVec(HistogramOpts{Name: "h"}, []string{"a"})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 500 {
				v.WithLabelValues(fmt.Sprint(i % 50)).Observe(1)
			}
		})
	}
	group.Wait()
	total := 0.0
	v.consts.fam.each(func(s *series) { total += s.metric.(*Histogram).drain(nil)[0].Value })
	if total != 2000 {
		t.Errorf("%v observations, want 2000: some went to a child that nobody holds", total)
	}
}
