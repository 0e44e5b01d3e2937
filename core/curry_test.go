// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"testing"
)

// oneTwoThree is a counter with three labels.
func oneTwoThree() (*Registry, *CounterVec) {
	r := New()
	return r, r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"shop": "de"}}, []string{"one", "two", "three"})
}

func TestCurryWith_GivesTheChildrenOfTheMetric(t *testing.T) {
	r, v := oneTwoThree()
	want := v.WithLabelValues("1", "2", "3")
	for name, tt := range map[string]struct {
		curried *CounterVec
		rest    []string
		labels  Labels
	}{
		"nothing": {v.MustCurryWith(nil), []string{"1", "2", "3"}, Labels{"one": "1", "two": "2", "three": "3"}},
		"first":   {v.MustCurryWith(Labels{"one": "1"}), []string{"2", "3"}, Labels{"two": "2", "three": "3"}},
		"middle":  {v.MustCurryWith(Labels{"two": "2"}), []string{"1", "3"}, Labels{"one": "1", "three": "3"}},
		"last":    {v.MustCurryWith(Labels{"three": "3"}), []string{"1", "2"}, Labels{"one": "1", "two": "2"}},
		"two":     {v.MustCurryWith(Labels{"three": "3", "one": "1"}), []string{"2"}, Labels{"two": "2"}},
		"all":     {v.MustCurryWith(Labels{"three": "3", "one": "1", "two": "2"}), nil, nil},
		"twice":   {v.MustCurryWith(Labels{"three": "3"}).MustCurryWith(Labels{"one": "1"}), []string{"2"}, Labels{"two": "2"}},
	} {
		before := maps.Clone(tt.labels)
		if got := tt.curried.WithLabelValues(tt.rest...); got != want {
			t.Errorf("%s: WithLabelValues gives %p, want %p", name, got, want)
		}
		if got := tt.curried.With(tt.labels); got != want || !maps.Equal(tt.labels, before) {
			t.Errorf("%s: With gives %p, want %p; the caller's labels became %v", name, got, want, tt.labels)
		}
		if got, err := tt.curried.GetMetricWith(tt.labels); got != want || err != nil {
			t.Errorf("%s: GetMetricWith gives %p and %v, want %p", name, got, err, want)
		}
		if got, err := tt.curried.GetMetricWithLabelValues(tt.rest...); got != want || err != nil {
			t.Errorf("%s: GetMetricWithLabelValues gives %p and %v, want %p", name, got, err, want)
		}
	}
	if n := r.byName["c_total"].table.series.Len(); n != 1 {
		t.Errorf("there are %d children", n)
	}
}

func TestCurryWith_LeavesTheVectorItCameFromAsItWas(t *testing.T) {
	_, v := oneTwoThree()
	labels := Labels{"one": "1"}
	curried := v.MustCurryWith(labels)
	twice := curried.MustCurryWith(Labels{"two": "2"})
	labels["one"] = "reused by the caller"
	want := v.WithLabelValues("1", "2", "3")
	if curried.WithLabelValues("2", "3") != want || twice.WithLabelValues("3") != want {
		t.Error("a curried vector is not what it was")
	}
}

func TestCurryWith_RefusesLabelsThatAreUnknownOrCurriedAndNamesThem(t *testing.T) {
	_, v := oneTwoThree()
	curried := v.MustCurryWith(Labels{"one": "1"})
	for name, tt := range map[string]struct {
		vec    *CounterVec
		labels Labels
		parts  []string
	}{
		"unknown":            {v, Labels{"two": "2", "four": "4"}, []string{`"c_total"`, `"four" is unknown`, `"one"`}},
		"constant":           {v, Labels{"shop": "de"}, []string{`"shop" is unknown`}},
		"curried":            {curried, Labels{"one": "1"}, []string{`"c_total"`, `"one" is curried already`, `"two"`}},
		"curried, and a new": {curried, Labels{"one": "x", "two": "2"}, []string{`"one" is curried already`}},
	} {
		got, err := tt.vec.CurryWith(tt.labels)
		if mentions(t, err, tt.parts...); got != nil {
			t.Errorf("%s: there is a vector beside the error", name)
		}
		if message := mustPanic(t, func() { tt.vec.MustCurryWith(tt.labels) }); message != err.Error() {
			t.Errorf("%s: panics with %q and returns %q", name, message, err)
		}
	}
}

func TestCurried_RefusesMissingAndSurplusLabels(t *testing.T) {
	r, v := oneTwoThree()
	curried := v.MustCurryWith(Labels{"two": "2"})
	v.WithLabelValues("1", "2", "3")
	for _, values := range [][]string{nil, {"1"}, {"1", "2", "3"}, {"1", "3", "x", "y"}} {
		_, err := curried.GetMetricWithLabelValues(values...)
		mentions(t, err, `"c_total"`, `["one" "three"]`)
		if message := mustPanic(t, func() { curried.WithLabelValues(values...) }); message != err.Error() {
			t.Errorf("panics with %q and returns %q", message, err)
		}
		if curried.DeleteLabelValues(values...) {
			t.Errorf("%q deleted a child", values)
		}
	}
	for _, labels := range []Labels{nil, {"one": "1"}, {"one": "1", "two": "2"}, {"one": "1", "two": "2", "three": "3"}} {
		_, err := curried.GetMetricWith(labels)
		mentions(t, err, `"c_total"`, `["one" "three"]`)
		mustPanic(t, func() { curried.With(labels) })
		if curried.Delete(labels) {
			t.Errorf("%v deleted a child", labels)
		}
	}
	if n := r.byName["c_total"].table.series.Len(); n != 1 {
		t.Errorf("%d children, want the one that there was", n)
	}
}

func TestCurryWith_RepairsTheValuesAndCountsThemOnce(t *testing.T) {
	r, v := oneTwoThree()
	curried := v.MustCurryWith(Labels{"one": "caf\xe9"})
	for range 3 {
		if curried.WithLabelValues("2", "3") != v.WithLabelValues("caf\uFFFD", "2", "3") {
			t.Error("a curried value that was repaired is another series")
		}
	}
	if got := selfValue(r, "shoal_rejected_observations_total", reasonInvalidUTF8); got != 1 {
		t.Errorf("it was counted %v times", got)
	}
}

func TestCurried_OfManyLabelsFindsItsChild(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	v := New().NewGaugeVec(GaugeOpts{Name: "g"}, names)
	got := v.MustCurryWith(Labels{"b": "1", "i": "8"}).WithLabelValues("0", "2", "3", "4", "5", "6", "7", "9")
	if want := v.WithLabelValues("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"); got != want {
		t.Errorf("it is %q", got.values)
	}
}
