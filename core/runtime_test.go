// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/runtimestats"
)

// used is what a process under test has used: the test's own numbers in place of the true ones.
type used struct {
	mu         sync.Mutex
	cpu        float64 // this and the rest are guarded by mu
	pauses     uint64
	seconds    float64
	goroutines float64
	readings   int
	trouble    func() // called by each reading
}

// change changes the numbers.
func (u *used) change(do func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	do()
}

// runtimeIn declares the runtime's metrics on a registry that is not connected yet.
func runtimeIn(t testing.TB, r *Registry, u *used) {
	t.Helper()
	if err := r.RegisterRuntime(); err != nil {
		t.Fatal(err)
	}
	s := r.sampled.asked[0].provider.(*runtimeSource)
	index := func(name string) int {
		i := slices.IndexFunc(runtimestats.New().Stats(), func(stat runtimestats.Stat) bool { return stat.Name == name })
		if i < 0 {
			t.Skipf("no %s on this system", name)
		}
		return i
	}
	cpu, goroutines := index("process_cpu_seconds_total"), index("go_goroutines")
	s.read = func(values []float64) {
		trouble := func() {}
		u.change(func() {
			u.readings++
			if u.trouble != nil {
				trouble = u.trouble
			}
		})
		trouble()
		u.change(func() { values[cpu], values[goroutines] = u.cpu, u.goroutines })
	}
	s.pauses = func() (uint64, float64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.pauses, u.seconds
	}
}

func TestRuntime_WhatProcessesUsedAddsUpOverTheirLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		begin := func(u *used) *Registry {
			r := New()
			runtimeIn(t, r, u)
			connectTo(t, server, r, Opts{})
			return r
		}
		first := &used{cpu: 3, pauses: 2, seconds: .5} // before Connect
		one := begin(first)
		elapse(7 * time.Second)
		want := func(cpu, pauses, seconds float64) {
			t.Helper()
			stored(t, server).want(t, samples{
				"process_cpu_seconds_total": cpu, "go_gc_duration_seconds_count": pauses, "go_gc_duration_seconds_sum": seconds,
			})
		}
		want(3, 2, .5)
		first.change(func() { first.cpu, first.pauses, first.seconds = 5, 4, .75 })
		two := begin(&used{cpu: 1, pauses: 1, seconds: .25})
		elapse(7 * time.Second)
		want(6, 5, 1)
		first.change(func() { first.cpu = 7 })
		if err := one.Close(t.Context()); err != nil { // it asks once more
			t.Error(err)
		}
		want(8, 5, 1)
		kill(t, two)
		begin(&used{cpu: 2, pauses: 1, seconds: .125})
		elapse(7 * time.Second)
		want(10, 6, 1.125)
	})
}

func TestRuntime_WhatFallsOrCannotBeReadLeavesTheLastValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r, u := New(), &used{cpu: 3, pauses: 2, seconds: 1, goroutines: 7}
		runtimeIn(t, r, u)
		connectTo(t, server, r, Opts{})
		for _, now := range []*used{{cpu: 2, pauses: 1, seconds: .5, goroutines: 7}, {cpu: math.NaN(), goroutines: math.NaN()}, {cpu: 4, goroutines: 8, pauses: 3, seconds: 2}} {
			elapse(6 * time.Second)
			stored(t, server).want(t, samples{
				"process_cpu_seconds_total": 3, "go_gc_duration_seconds_count": 2, "go_gc_duration_seconds_sum": 1,
				`go_goroutines{gauge_index="0"}`: 7,
			})
			u.change(func() { u.cpu, u.pauses, u.seconds, u.goroutines = now.cpu, now.pauses, now.seconds, now.goroutines })
		}
		elapse(6 * time.Second)
		stored(t, server).want(t, samples{
			"process_cpu_seconds_total": 4, "go_gc_duration_seconds_count": 3, "go_gc_duration_seconds_sum": 2,
			`go_goroutines{gauge_index="0"}`: 8,
		})
	})
}

func TestRuntime_GaugesGoWithTheirProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var regs []*Registry
		for i := range 2 {
			r := New()
			runtimeIn(t, r, &used{goroutines: float64(10 + i)})
			connectTo(t, server, r, Opts{})
			elapse(time.Second)
			regs = append(regs, r)
		}
		elapse(2 * time.Second)
		stored(t, server).want(t, samples{`go_goroutines{gauge_index="0"}`: 10, `go_goroutines{gauge_index="1"}`: 11})
		if err := regs[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
		stored(t, server).want(t, samples{`go_goroutines{gauge_index="1"}`: 11})
		kill(t, regs[1])
		elapse(20 * time.Second) // its lease
		page := stored(t, server)
		page.lacks(t, "go_goroutines")
		page.lacks(t, "go_info")
	})
}

func TestRuntime_IsReadOnceForAllItsMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, u := New(), new(used)
		runtimeIn(t, r, u)
		if err := r.RegisterRuntime(); err != nil || len(r.sampled.asked) != 1 {
			t.Errorf("a second call: %d sources, %v", len(r.sampled.asked), err)
		}
		elapse(time.Minute)
		if u.readings != 0 {
			t.Error("read before Connect")
		}
		connectTo(t, memstore.New(), r, Opts{})
		elapse(time.Minute)
		if u.readings != 13 {
			t.Errorf("read %d times in a minute, want three times in a lease and once at Connect: 13", u.readings)
		}
		for _, ask := range []struct {
			name string
			call func()
		}{
			{"a page", func() { scrape(t, r) }},
			{"Flush", func() { flush(t, r) }},
			{"Close", func() { _ = r.Close(t.Context()) }},
		} {
			before := u.readings
			if ask.call(); u.readings != before+1 {
				t.Errorf("%s read %d times", ask.name, u.readings-before)
			}
		}
	})
}

func TestRuntime_APanicOrAHangHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r, u, heard := New(), &used{cpu: 1}, new(troubles)
		runtimeIn(t, r, u)
		connectTo(t, server, r, Opts{OnError: heard.add})
		value := 0.
		funcNamed(r, "other", func() float64 { value++; return value })
		elapse(time.Second)
		u.change(func() { u.trouble = func() { panic("out of order") } })
		page := scrape(t, r)
		page.want(t, samples{"other": 2, "process_cpu_seconds_total": 1})
		if heard.count("runtime panicked: out of order") != 1 {
			t.Errorf("heard %v", heard.all())
		}
		release := make(chan struct{})
		u.change(func() { u.trouble = func() { <-release } })
		scrape(t, r)
		begin := time.Now()
		scrape(t, r).want(t, samples{"other": 4, "process_cpu_seconds_total": 1})
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("a page took %v beside a reading that hangs", took)
		}
		u.change(func() { u.trouble, u.cpu = nil, 2 })
		close(release)
		synctest.Wait()
		scrape(t, r).want(t, samples{"process_cpu_seconds_total": 2})
	})
}

// A metric that was declared and is never read would say 0.
func TestRuntime_SaysWhichNamesAreTakenAndReadsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		r.NewCounter(CounterOpts{Name: "go_goroutines"})
		r.NewGauge(GaugeOpts{Name: "go_memstats_frees_total"})
		r.NewCounter(CounterOpts{Name: "go_info"})
		r.NewCounter(CounterOpts{Name: "go_gc_duration_seconds"})
		mentions(t, r.RegisterRuntime(), "go_goroutines", "go_memstats_frees_total", "go_info", "go_gc_duration_seconds")
		connectTo(t, memstore.New(), r, Opts{})
		elapse(time.Minute)
		page := scrape(t, r)
		for _, series := range []string{"go_memstats_mallocs_total", "go_memstats_alloc_bytes_total", `go_threads{gauge_index="0"}`} {
			if page[series] <= 0 {
				t.Errorf("%s is %v", series, page[series])
			}
		}
		page.want(t, samples{"go_goroutines": 0, "go_gc_duration_seconds": 0})
	})
}

func TestRuntime_IsNotReadByAReadOnlyRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, u := New(), new(used)
		runtimeIn(t, r, u)
		connectTo(t, memstore.New(), r, Opts{ReadOnly: true})
		elapse(time.Minute)
		scrape(t, r).lacks(t, "go_")
		if u.readings != 0 {
			t.Error("it was read")
		}
	})
}

func BenchmarkRuntimeSampling(b *testing.B) {
	r := New()
	if err := r.RegisterRuntime(); err != nil {
		b.Fatal(err)
	}
	s := r.sampled.asked[0].provider
	b.ReportAllocs()
	for b.Loop() {
		s.sample(b.Context())
	}
}
