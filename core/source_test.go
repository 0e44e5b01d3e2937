// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// sourceFunc is a Source.
type sourceFunc func(ctx context.Context) ([]*dto.MetricFamily, error)

func (f sourceFunc) Collect(ctx context.Context) ([]*dto.MetricFamily, error) { return f(ctx) }

// given is a source that gives what it was told to.
type given struct {
	mu       sync.Mutex
	families []*dto.MetricFamily
	err      error
	calls    int
}

func (g *given) set(err error, families ...*dto.MetricFamily) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.families, g.err = families, err
}

func (g *given) Collect(context.Context) ([]*dto.MetricFamily, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	return g.families, g.err
}

func (g *given) called() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

// add adds a source of totals whose gauges are sums.
func add(t testing.TB, r *Registry, s Source, o SourceOpts) (remove func()) {
	t.Helper()
	o.Cumulative, o.Mode = true, func(string) Mode { return Sum }
	remove, err := r.AddSource(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

// wantFailures compares the failures of sources that the page of r counts with want, which has
// them by reason.
func wantFailures(t testing.TB, r *Registry, want map[string]float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	page := gathered(t, families)
	for _, reason := range []string{failedError, failedRefused, failedPanic, failedLate, failedClosing} {
		if got := page[`shoal_source_failures_total{reason="`+reason+`"}`]; got != want[reason] {
			t.Errorf("%v failures of the kind %s, not %v", got, reason, want[reason])
		}
	}
}

func TestSource_IsAskedOncePerPeriodWhileConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		usual, often, seldom := new(given), new(given), new(given)
		add(t, r, usual, SourceOpts{})
		add(t, r, often, SourceOpts{Period: time.Second})
		elapse(time.Minute)
		if usual.called() != 0 {
			t.Error("a source is asked before Connect")
		}
		connectTo(t, memstore.New(), r, Opts{LeaseDuration: 30 * time.Second})
		elapse(time.Second / 2)
		add(t, r, seldom, SourceOpts{Period: time.Minute})
		elapse(time.Minute)
		for _, test := range []struct {
			name string
			s    *given
			want int
		}{{"usual", usual, 13}, {"often", often, 61}, {"seldom", seldom, 2}} {
			if n := test.s.called(); n < test.want-1 || n > test.want {
				t.Errorf("the source %s was asked %d times in a minute, not %d", test.name, n, test.want)
			}
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := often.called()
		elapse(time.Minute)
		if often.called() != before {
			t.Error("a source is asked after Close")
		}
	})
}

func TestSource_IsAskedBeforeEachOwnPageFlushAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		s := new(given)
		add(t, r, s, SourceOpts{})
		s.set(nil, familyOf("c", counterOf(1)), familyOf("g", gaugeOf(1)))
		scrape(t, r).want(t, samples{"c": 1, "g": 1})
		s.set(nil, familyOf("c", counterOf(2)), familyOf("g", gaugeOf(2)))
		flush(t, r)
		stored(t, server).want(t, samples{"c": 2, "g": 2})
		s.set(nil, familyOf("c", counterOf(3)))
		scrape(t, r).want(t, samples{"c": 3})
		s.set(nil, familyOf("c", counterOf(4)))
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored(t, server).want(t, samples{"c": 4})
	})
}

func TestSource_ThatFailsHarmsNobodyAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		told := new(troubles)
		r := process(t, server, Opts{OnError: told.add})
		s := new(given)
		add(t, r, s, SourceOpts{Name: "the shop"})
		s.set(nil, familyOf("c", counterOf(1)), familyOf("g", gaugeOf(1)))
		scrape(t, r)
		s.set(errors.New("the database is away"), familyOf("c", counterOf(2)))
		scrape(t, r).want(t, samples{"c": 2, "g": 1}) // what is missing is not taken for gone
		s.set(nil, familyOf("c", counterOf(3)), familyOf("c", gaugeOf(3)))
		scrape(t, r).want(t, samples{"c": 3})
		s.set(nil, familyOf("c", counterOf(3))) // it is asked before the page that tells
		wantFailures(t, r, map[string]float64{failedError: 1, failedRefused: 1})
		add(t, r, sourceFunc(func(context.Context) ([]*dto.MetricFamily, error) { panic("lost") }), SourceOpts{Name: "wild", Period: time.Hour})
		synctest.Wait()
		add(t, r, sourceFunc(func(context.Context) ([]*dto.MetricFamily, error) {
			runtime.Goexit()
			return nil, nil
		}), SourceOpts{})
		s.set(nil, familyOf("c", counterOf(4)))
		scrape(t, r).want(t, samples{"c": 4})
		for _, want := range []string{"wild panicked: lost", "called runtime.Goexit"} {
			if n := told.count(want); n != 1 {
				t.Errorf("%q is reported %d times", want, n)
			}
		}
		for _, want := range []string{"the shop failed: the database is away", "the shop gave metrics that were refused"} {
			if told.count(want) != 1 {
				t.Errorf("the reports are %q and lack %q", told.all(), want)
			}
		}
	})
}

func TestSource_ThatHangsDelaysNothingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		release := make(chan struct{})
		defer close(release)
		add(t, r, sourceFunc(func(context.Context) ([]*dto.MetricFamily, error) {
			<-release
			return nil, nil
		}), SourceOpts{})
		s := new(given)
		s.set(nil, familyOf("c", counterOf(1)))
		add(t, r, s, SourceOpts{})
		for n := range 5 {
			begun := time.Now()
			scrape(t, r).want(t, samples{"c": 1})
			flush(t, r)
			if took := time.Since(begun); n > 0 && took > 100*time.Millisecond || took > 2*flushSampleTimeout {
				t.Errorf("page and Flush number %d took %v", n, took)
			}
		}
		elapse(time.Minute)
		wantFailures(t, r, map[string]float64{failedLate: 1})
		begun := time.Now()
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > closeSampleTimeout+lingerTimeout+time.Second {
			t.Errorf("Close took %v", took)
		}
		wantFailures(t, readOnly(t, server), map[string]float64{failedLate: 1, failedClosing: 1})
	})
}

func TestSource_ThatIsSlowLosesNothingAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		s := new(given)
		add(t, r, sourceFunc(func(ctx context.Context) ([]*dto.MetricFamily, error) {
			time.Sleep(1500 * time.Millisecond)
			return s.Collect(ctx)
		}), SourceOpts{})
		elapse(3 * time.Second)
		s.set(nil, familyOf("c", counterOf(5)))
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantFailures(t, readOnly(t, server), nil)
		stored(t, server).want(t, samples{"c": 5})
	})
}

func TestSource_ContextEndsWithTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		ended := make(chan struct{})
		add(t, r, sourceFunc(func(ctx context.Context) ([]*dto.MetricFamily, error) {
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}), SourceOpts{})
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ended
		wantFailures(t, readOnly(t, server), map[string]float64{failedClosing: 1})
	})
}

func TestSource_RemovedGivesWhatItHasAndItsGaugesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		s := new(given)
		remove := add(t, r, s, SourceOpts{})
		s.set(nil, familyOf("c", counterOf(1)), familyOf("g", gaugeOf(1)))
		flush(t, r)
		s.set(nil, familyOf("c", counterOf(2)), familyOf("g", gaugeOf(1)))
		remove()
		remove()
		scrape(t, r).want(t, samples{"c": 2})
		before := s.called()
		elapse(time.Minute)
		if s.called() != before {
			t.Error("a removed source is asked")
		}
		s.set(nil, familyOf("c", counterOf(5)), familyOf("g", gaugeOf(1)))
		remove = add(t, r, s, SourceOpts{}) // its totals go on
		scrape(t, r).want(t, samples{"c": 5, "g": 1})
		remove()
		for range 2 * maxFormerSources {
			add(t, r, new(given), SourceOpts{})()
		}
		if n := len(r.former.sources); n > maxFormerSources {
			t.Errorf("%d former sources are kept", n)
		}
	})
}

func TestAddSource_ASecondOneOfTheSameIsRefused(t *testing.T) {
	r := New()
	s, key := new(given), new(int)
	add(t, r, s, SourceOpts{Name: "first"})
	add(t, r, new(given), SourceOpts{Key: key})
	add(t, r, sourceFunc(nil), SourceOpts{}) // functions are not comparable
	add(t, r, sourceFunc(nil), SourceOpts{})
	for _, o := range []SourceOpts{{Key: s}, {Key: key}} {
		if _, err := r.AddSource(new(given), o); err == nil || !strings.Contains(err.Error(), "would count the same") {
			t.Errorf("the error is %v", err)
		}
	}
	if _, err := r.AddSource(new(given), SourceOpts{Key: New()}); err == nil || !strings.Contains(err.Error(), "all processes") {
		t.Errorf("a registry as source: %v", err)
	}
	if _, err := r.AddSource(nil, SourceOpts{}); err == nil {
		t.Error("no source is accepted")
	}
	for _, period := range []time.Duration{-1, 5} { // 5 ns, where seconds are meant
		if _, err := r.AddSource(new(given), SourceOpts{Period: period}); err == nil || !strings.Contains(err.Error(), "Period") {
			t.Errorf("a period of %v: %v", period, err)
		}
	}
	closed := New()
	if err := closed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.AddSource(s, SourceOpts{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCounterFunc_WhatIsNewIsAddedForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var values [2]atomic.Int64
		values[0].Store(10)
		values[1].Store(20)
		for n := range values {
			r := process(t, server, Opts{})
			r.NewCounterFunc(CounterOpts{Name: "c"}, func() float64 { return float64(values[n].Load()) })
			again := r.NewCounterFunc(CounterOpts{Name: "c"}, func() float64 { return 1000 })
			if again == nil {
				t.Error("a second declaration is not the first")
			}
			flush(t, r)
		}
		stored(t, server).want(t, samples{"c": 30})
		values[0].Store(15)
		values[1].Store(2) // it began anew
		elapse(10 * time.Second)
		stored(t, server).want(t, samples{"c": 37})
	})
}

func TestCounterFunc_ValuesThatAreNegativeOrNotFiniteAreRefusedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		var v atomic.Int64
		v.Store(-1)
		r.NewCounterFunc(CounterOpts{Name: "c"}, func() float64 { return float64(v.Load()) })
		flush(t, r)
		families, err := r.Gather()
		if n := gathered(t, families)[`shoal_rejected_observations_total{reason="negative"}`]; n == 0 || err != nil {
			t.Errorf("%v negative values are counted, %v", n, err)
		}
		v.Store(3)
		scrape(t, r).want(t, samples{"c": 3})
		if _, err := r.RegisterCounterFunc(CounterOpts{Name: "d"}, nil); err == nil {
			t.Error("no function is accepted")
		}
	})
}
