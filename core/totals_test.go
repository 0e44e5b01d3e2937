// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// totalsPage is the page of a process after it has imported each of readings, a second after the
// one before it.
func totalsPage(t *testing.T, readings ...*dto.MetricFamily) samples {
	t.Helper()
	var page samples
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		i := importerOf(r, true)
		for _, reading := range readings {
			time.Sleep(time.Second)
			var families []*dto.MetricFamily
			if reading != nil {
				families = append(families, reading)
			}
			imports(t, i, families...)
			flush(t, r)
		}
		page = scrape(t, r)
	})
	return page
}

func TestTotals_WhatIsNewOfACounterIsAdded(t *testing.T) {
	// In a bubble, the first reading is made a second after this.
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	c := func(v float64) *dto.MetricFamily { return familyOf("c", counterOf(v)) }
	since := func(v, seconds float64) *dto.MetricFamily { return familyOf("c", began(counterOf(v), at(seconds))) }
	for _, test := range []struct {
		name     string
		readings []*dto.MetricFamily
		want     float64
	}{
		{"the first reading is all that was counted", []*dto.MetricFamily{c(5)}, 5},
		{"then what is new", []*dto.MetricFamily{c(5), c(5), c(7)}, 7},
		{"fractions that round up", []*dto.MetricFamily{c(4.8), c(13.9), c(13.9), c(13.9)}, 13.9},
		{"a fall is a restart", []*dto.MetricFamily{c(5), c(2), c(3)}, 8},
		{"what is given again goes on", []*dto.MetricFamily{c(5), nil, nil, c(7)}, 7},
		{"what is given again may have begun anew", []*dto.MetricFamily{c(5), nil, c(2)}, 7},
		{"one that began anew and overtook", []*dto.MetricFamily{since(5, 0), since(7, 1.5)}, 12},
		{"one that began anew while it was not given", []*dto.MetricFamily{since(5, 0), nil, since(7, 1.5)}, 12},
		{"and goes on", []*dto.MetricFamily{since(5, 0), since(7, 1.5), since(8, 1.5)}, 13},
		{"one that began while it was read", []*dto.MetricFamily{since(5, 1.5), since(5, 1.5), since(6, 1.5)}, 6},
		{"times that are computed anew each time", []*dto.MetricFamily{since(5, .1), since(6, .2), since(7, .3)}, 7},
		{"a time that is missing once", []*dto.MetricFamily{since(5, .1), c(6), since(7, .1)}, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			page := totalsPage(t, test.readings...)
			if got := page["c"]; got < test.want-1e-12 || got > test.want+1e-12 {
				t.Errorf("the page has %v, not %v", got, test.want)
			}
		})
	}
}

func TestTotals_WhatIsNewOfAHistogramIsAdded(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	h := func(sum float64, upTo1, upTo2, all float64) *dto.MetricFamily {
		return familyOf("h", histogramOf(uint64(all), sum, []float64{1, upTo1, 2, upTo2}))
	}
	since := func(seconds float64, f *dto.MetricFamily) *dto.MetricFamily {
		began(f.Metric[0], start.Add(time.Duration(seconds*float64(time.Second))))
		return f
	}
	for _, test := range []struct {
		name              string
		readings          []*dto.MetricFamily
		upTo1, upTo2, all float64
		sum               float64
	}{
		{"what is new", []*dto.MetricFamily{h(10, 1, 2, 3), h(10, 1, 2, 3), h(16, 2, 4, 6)}, 2, 4, 6, 16},
		{"negative observations", []*dto.MetricFamily{h(10, 1, 2, 3), h(4, 2, 3, 4)}, 2, 3, 4, 4},
		{"a count that falls", []*dto.MetricFamily{h(10, 1, 2, 3), h(2, 1, 2, 2)}, 2, 4, 5, 12},
		{"a bucket that falls", []*dto.MetricFamily{h(10, 3, 3, 3), h(12, 1, 2, 4)}, 4, 5, 7, 22},
		{"another time", []*dto.MetricFamily{since(0, h(10, 1, 2, 3)), since(1.5, h(16, 2, 4, 6))}, 3, 6, 9, 26},
		{"buckets read one by one", []*dto.MetricFamily{since(0, h(10, 2, 2, 3)), since(0, h(11, 1, 3, 4)), since(0, h(12, 3, 4, 5))}, 3, 4, 5, 12},
		{"a bucket ahead of the count, twice", []*dto.MetricFamily{h(10, 2, 3, 4), h(10, 3, 3, 4), h(10, 3, 3, 4), h(11, 3, 4, 5)}, 3, 4, 5, 11},
		{"a bucket ahead of the next one", []*dto.MetricFamily{h(10, 2, 3, 4), h(11, 3, 3, 5), h(12, 3, 4, 6)}, 3, 4, 6, 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			totalsPage(t, test.readings...).want(t, samples{
				`h_bucket{le="1"}`: test.upTo1, `h_bucket{le="2"}`: test.upTo2, `h_bucket{le="+Inf"}`: test.all,
				"h_count": test.all, "h_sum": test.sum,
			})
		})
	}
}

// A collector may give only the buckets that it thinks worth giving, and others each time.
func TestTotals_ABucketThatIsNotGivenIsNoRestart(t *testing.T) {
	h := func(all uint64, buckets ...float64) *dto.MetricFamily {
		return familyOf("h", histogramOf(all, float64(all), buckets))
	}
	totalsPage(t, h(10, 1, 3, 2, 7, 5, 10), h(10, 1, 3, 5, 10), h(11, 1, 4, 2, 8, 5, 11), h(11), h(14, 1, 5, 7, 14)).want(t, samples{
		`h_bucket{le="1"}`: 5, `h_bucket{le="2"}`: 9, `h_bucket{le="5"}`: 12, `h_bucket{le="+Inf"}`: 14, "h_count": 14, "h_sum": 14,
	})
	// The buckets that it gives tell that it began anew.
	totalsPage(t, h(10, 1, 9, 2, 10), h(12, 1, 2, 5, 12)).want(t, samples{
		`h_bucket{le="1"}`: 11, `h_bucket{le="2"}`: 12, `h_bucket{le="+Inf"}`: 22, "h_count": 22, "h_sum": 22,
	})
}

func TestTotals_WhatIsNewOfASummaryIsAdded(t *testing.T) {
	s := func(n uint64, sum float64) *dto.MetricFamily { return familyOf("s", summaryOf(n, sum)) }
	totalsPage(t, s(2, 3), s(2, 3), s(5, 7), s(1, 2)).want(t, samples{"s_count": 6, "s_sum": 9})
}

func TestTotals_ASumThatIsNoNumberIsRefusedOncePerObservation(t *testing.T) {
	r := process(t, memstore.New(), Opts{})
	i := importerOf(r, true)
	for n := range uint64(6) {
		imports(t, i, familyOf("s", summaryOf(1+n/3, math.NaN()))) // two observations, read three times each
	}
	families, err := r.Gather()
	if n := gathered(t, families)[`shoal_rejected_observations_total{reason="nan"}`]; n != 2 || err != nil {
		t.Errorf("refused %v times, %v", n, err)
	}
}

// held lists the children that a process holds of a family.
func held(r *Registry, name string) (fields []string) {
	r.mu.Lock()
	f := r.byName[name]
	r.mu.Unlock()
	f.table.series.Each(func(s *series) { fields = append(fields, s.field) })
	return fields
}

func TestTotals_WhatIsNoLongerGivenIsNotHeldButStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		i := importerOf(r, true)
		round := func(metrics ...*dto.Metric) {
			imports(t, i, familyOf("c", metrics...))
			flush(t, r)
		}
		round(counterOf(1, "x", "1"), counterOf(2, "x", "2"))
		round(counterOf(1, "x", "1"))
		round(counterOf(1, "x", "1"))
		if got := held(r, "c"); len(got) != 1 {
			t.Errorf("the process holds %q", got)
		}
		stored(t, server).want(t, samples{`c{x="1"}`: 1, `c{x="2"}`: 2})
		round(counterOf(1, "x", "1"), counterOf(2, "x", "2"))
		if got := held(r, "c"); len(got) != 2 {
			t.Errorf("what is given again is not held: %q", got)
		}
		stored(t, server).want(t, samples{`c{x="1"}`: 1, `c{x="2"}`: 2})
	})
}

func TestTotals_ASummaryThatIsGivenAgainIsHeld(t *testing.T) {
	r := process(t, memstore.New(), Opts{})
	i := importerOf(r, true)
	s := familyOf("s", summaryOf(1, 1, "x", "1"))
	for _, families := range [][]*dto.MetricFamily{{s}, nil, nil, {s}} {
		imports(t, i, families...)
		flush(t, r)
	}
	if got := held(r, "s"); len(got) != 1 {
		t.Errorf("the process holds %q", got)
	}
	scrape(t, r).want(t, samples{`s_count{x="1"}`: 1, `s_sum{x="1"}`: 1})
}

func TestTotals_WhatIsKeptOfGoneSeriesIsBounded(t *testing.T) {
	r := process(t, memstore.New(), Opts{SeriesLimit: 10})
	i := importerOf(r, true)
	for n := range 200 {
		imports(t, i, familyOf("c", counterOf(1, "tenant", fmt.Sprint(n)), counterOf(1, "tenant", "always")))
		flush(t, r)
	}
	if n := i.families["c"].entries.Len(); n > 12 {
		t.Errorf("the importer remembers %d series", n)
	}
	if n := len(held(r, "c")); n > 4 {
		t.Errorf("the process holds %d series", n)
	}
}

// One collector of many may fail for ever.
func TestTotals_WhatIsKeptOfGoneSeriesIsBoundedWhereASourceAlwaysFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{SeriesLimit: 10})
		s, failed := new(given), errors.New("a collector failed")
		s.set(failed)
		added := add(t, r, s, SourceOpts{Period: time.Hour})
		defer added()
		for n := range 200 {
			tenant := fmt.Sprint(n)
			s.set(failed, familyOf("c", counterOf(1, "tenant", tenant)), familyOf("g", gaugeOf(1, "tenant", tenant)))
			flush(t, r)
		}
		i := r.sampled.asked[len(r.sampled.asked)-1].provider.(*importSource).importer
		for name, f := range i.families {
			if n := f.entries.Len(); n > 12 {
				t.Errorf("the importer remembers %d series of %s", n, name)
			}
		}
		if n := len(held(r, "c")); n > 12 {
			t.Errorf("the process holds %d counters", n)
		}
		s.set(nil, familyOf("g", gaugeOf(1, "tenant", "last")))
		scrape(t, r).want(t, samples{`g{tenant="last"}`: 1})
	})
}

func TestTotals_WhatAFailingSourceDoesNotGiveIsTakenForGoneAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		s, failed := new(given), errors.New("the database is away")
		all := []*dto.MetricFamily{familyOf("c", counterOf(1, "x", "1")), familyOf("g", gaugeOf(1))}
		s.set(nil, all...)
		defer add(t, r, s, SourceOpts{})()
		flush(t, r)
		s.set(failed)
		elapse(missingFor - 6*time.Second)
		scrape(t, r).want(t, samples{`c{x="1"}`: 1, "g": 1})
		if n := len(held(r, "c")); n != 1 {
			t.Errorf("a failure of less than a minute: %d counters are held", n)
		}
		elapse(12 * time.Second)
		scrape(t, r).want(t, samples{`c{x="1"}`: 1})
		if n := len(held(r, "c")); n != 0 {
			t.Errorf("a failure of more than a minute: %d counters are held", n)
		}
		s.set(nil, all...)
		scrape(t, r).want(t, samples{`c{x="1"}`: 1, "g": 1})
	})
}

func TestTotals_OneFailureMakesNothingGoHoweverLongThePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		s, failed := new(given), errors.New("the database is away")
		all := []*dto.MetricFamily{familyOf("c", counterOf(1, "x", "1")), familyOf("g", gaugeOf(1))}
		s.set(nil, all...)
		defer add(t, r, s, SourceOpts{Period: 2 * time.Minute})()
		elapse(10 * time.Second)
		for range 3 { // every other call fails
			s.set(failed)
			elapse(2 * time.Minute)
			stored(t, server).want(t, samples{`c{x="1"}`: 1, "g": 1})
			s.set(nil, all...)
			elapse(2 * time.Minute)
		}
		s.set(failed)
		elapse(4 * time.Minute)
		stored(t, server).want(t, samples{`c{x="1"}`: 1})
	})
}

func TestTotals_WhatAFailingSourceGaveWhileRedisWasAwayIsNotHeldAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: 10})
		s, failed := new(given), errors.New("a collector failed")
		s.set(failed)
		defer add(t, r, s, SourceOpts{Period: time.Second})()
		server.Fail(func(string) error { return errBroken })
		for n := range 100 {
			s.set(failed, familyOf("c", counterOf(1, "tenant", fmt.Sprint(n))))
			elapse(time.Second)
		}
		server.Fail(nil)
		for n := range 20 { // it counts on: what it counted at first may be in the overflow series
			s.set(failed, familyOf("c", counterOf(float64(n), "tenant", "always")))
			elapse(10 * time.Second)
		}
		if got := held(r, "c"); len(got) != 1 {
			t.Errorf("the process holds %q", got)
		}
	})
}

func TestTotals_WhatWentWhileRedisWasAwayIsNotHeldAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: 100})
		i := importerOf(r, true)
		churn := func(n int) {
			imports(t, i, familyOf("c", counterOf(1, "tenant", fmt.Sprint(n)), counterOf(1, "tenant", "always")))
		}
		churn(0)
		flush(t, r)
		server.Fail(func(string) error { return errBroken })
		for n := range 190 {
			churn(n)
			elapse(time.Second)
		}
		server.Fail(nil)
		for range 3 {
			churn(190)
			flush(t, r)
		}
		if n := len(held(r, "c")); n > 4 {
			t.Errorf("the process holds %d series", n)
		}
	})
}
