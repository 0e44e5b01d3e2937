// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// calm are options with which hours pass quickly in a bubble.
var calm = Opts{Interval: 10 * time.Second, LeaseDuration: 10 * time.Minute, RefreshPeriod: time.Minute, Retention: time.Hour}

// children is how many children of a family a process has.
func children(r *Registry, family string) int { return r.byName[family].table.series.Len() }

// startsOf are the starts of the series of a family, by their fields, as Redis has them.
func startsOf(t testing.TB, server *memstore.Server, family string) map[string]time.Time {
	t.Helper()
	store := server.Store("shop")
	states, err := store.ReadFamilies(t.Context(), []string{family})
	if err != nil || states[0].Err != nil {
		t.Fatal(err, states)
	}
	series, err := wire.ScanSeries(t.Context(), store, family, wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	q := wire.StartsQuery{Family: family, Generation: states[0].Generation}
	for _, s := range series {
		q.Fields = append(q.Fields, s.Field)
	}
	starts, err := store.ReadStarts(t.Context(), []wire.StartsQuery{q})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]time.Time{}
	for i, field := range q.Fields {
		all[strings.ReplaceAll(field, wire.Separator, "=")] = time.UnixMicro(starts[0][i])
	}
	return all
}

func TestMarks_WhatALivingProcessHoldsStaysHoweverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		old, young := process(t, server, calm), process(t, server, calm)
		old.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"version"}).WithLabelValues("1").Inc()
		v := young.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"version"})
		v.WithLabelValues("2").Inc()
		elapse(24 * time.Hour)
		stored(t, server).want(t, samples{`c_total{version="1"}`: 1, `c_total{version="2"}`: 1})
		kill(t, old)
		elapse(calm.Retention - time.Minute)
		stored(t, server).want(t, samples{`c_total{version="1"}`: 1, `c_total{version="2"}`: 1})
		elapse(calm.Retention/4 + 2*housekeepTime + time.Minute)
		stored(t, server).want(t, samples{`c_total{version="2"}`: 1})
		began := time.Now()
		v.WithLabelValues("1").Inc()
		elapse(calm.Interval * 2)
		stored(t, server).want(t, samples{`c_total{version="1"}`: 1, `c_total{version="2"}`: 1})
		if start := startsOf(t, server, "c_total")["version=1"]; start.Before(began.Add(-time.Millisecond)) || start.After(time.Now()) {
			t.Errorf("the series began at %v, and anew between %v and %v", start, began, time.Now())
		}
		flush(t, young)
		if page := get(t, readOnly(t, server).Handler(HandlerOpts{}), nil); !strings.Contains(page, `shoal_removed_series_total{reason="idle"} 1`) {
			t.Errorf("the removed series is not counted:\n%s", page)
		}
	})
}

func TestMarks_AJobThatRunsNowAndThenKeepsItsSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		process(t, server, calm).NewCounterVec(CounterOpts{Name: "runs_total"}, []string{"job"}) // somebody lives
		for range 20 {
			job := process(t, server, calm)
			job.NewCounterVec(CounterOpts{Name: "runs_total"}, []string{"job"}).WithLabelValues("night").Inc()
			if err := job.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			elapse(calm.Retention * 9 / 10)
		}
		stored(t, server).want(t, samples{`runs_total{job="night"}`: 20})
	})
}

func TestMarks_DeletionsAreSeenByAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		opts := Opts{SeriesLimit: 5}
		a, b := process(t, server, opts), process(t, server, opts)
		va := a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"tenant"})
		vb := b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"tenant"})
		for i := range 40 { // never more than four are alive
			tenant := fmt.Sprint(i)
			va.WithLabelValues(tenant).Inc()
			vb.WithLabelValues(tenant).Inc()
			elapse(2 * time.Second)
			if got := stored(t, server)[fmt.Sprintf("c_total{tenant=%q}", tenant)]; got != 2 {
				t.Fatalf("tenant %s has %v", tenant, got)
			}
			if i >= 3 {
				va.DeleteLabelValues(fmt.Sprint(i - 3))
				elapse(2 * time.Second)
			}
		}
		flush(t, a)
		stored(t, server).lacks(t, `c_total{tenant="shoal_overflow"}`)
		if n := children(b, "c_total"); n > 10 {
			t.Errorf("the process that deletes nothing has %d children", n)
		}
		elapse(DefRefreshPeriod + markPause)
		if n := children(b, "c_total"); n != 3 {
			t.Errorf("after a refresh it has %d children, want 3", n)
		}
		server.Wipe()
		elapse(2 * DefRefreshPeriod)
		stored(t, server).want(t, samples{`c_total{tenant="37"}`: 0, `c_total{tenant="38"}`: 0, `c_total{tenant="39"}`: 0})
	})
}

func TestMarks_AResetFreesTheCapWithinAFlushOfWhoeverIsFull(t *testing.T) {
	server := memstore.New()
	opts := Opts{SeriesLimit: 4, Interval: time.Hour}
	a, b := process(t, server, opts), process(t, server, opts)
	va := a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
	vb := b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
	for _, k := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		vb.WithLabelValues(k).Inc() // half of them overflow in Redis
	}
	vb.WithLabelValues("9").Inc() // the table is full
	flush(t, b)
	stored(t, server).want(t, samples{
		`c_total{k="1"}`: 1, `c_total{k="2"}`: 1, `c_total{k="3"}`: 1, `c_total{k="4"}`: 1, `c_total{k="shoal_overflow"}`: 5,
	})
	va.Reset()
	flush(t, a)
	vb.WithLabelValues("9").Inc()
	flush(t, b)
	stored(t, server).want(t, samples{`c_total{k="9"}`: 1})
	flush(t, a)
	if page := get(t, readOnly(t, server).Handler(HandlerOpts{}), nil); !strings.Contains(page, `shoal_removed_series_total{reason="deleted"} 5`) {
		t.Errorf("the deleted series are not counted:\n%s", page)
	}
}

func TestMarks_AHandleThatIsWrittenAgainIsHeldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, calm), process(t, server, calm)
		ca := a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
		handle := b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"}).WithLabelValues("1")
		handle.Inc()
		elapse(time.Minute)
		ca.Reset()
		before := time.Now()
		elapse(2*time.Minute + markPause)
		if n := children(b, "c_total"); n != 0 {
			t.Fatalf("%d children after the deletion", n)
		}
		handle.Add(2)
		elapse(24 * time.Hour)
		stored(t, server).want(t, samples{`c_total{k="1"}`: 2})
		if n := children(b, "c_total"); n != 1 {
			t.Errorf("%d children after a write through the handle, want 1", n)
		}
		if start := startsOf(t, server, "c_total")["k=1"]; start.Before(before.Add(-time.Millisecond)) {
			t.Errorf("the series began at %v, before it was deleted at %v", start, before)
		}
	})
}

func TestMarks_AClockThatJumpsRemovesNothing(t *testing.T) {
	for name, jump := range map[string]time.Duration{"a day forward": 24 * time.Hour, "years forward": 1e5 * time.Hour, "a day back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := process(t, server, calm)
				r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"}).WithLabelValues("1").Inc()
				elapse(2 * time.Hour)
				began := startsOf(t, server, "c_total")["k=1"]
				for range 5 {
					server.Advance(jump)
					// Housekeeping comes before the refresh.
					if _, err := server.Store("shop").Housekeep(t.Context(), calm.Retention, 0); err != nil {
						t.Fatal(err)
					}
					elapse(20 * time.Minute)
				}
				elapse(3 * time.Hour)
				stored(t, server).want(t, samples{`c_total{k="1"}`: 1})
				if start := startsOf(t, server, "c_total")["k=1"]; !start.Equal(began) {
					t.Errorf("the series began at %v and now at %v", began, start)
				}
			})
		})
	}
}

// A process that kept acknowledged batches sends those again that Redis lacks after a step back. What
// had been removed meanwhile must not return with them.
func TestMarks_KeptBatchesDoNotBringBackWhatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		va := a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
		vb := b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
		elapse(time.Minute)
		before := server.Snapshot()
		vb.WithLabelValues("gone").Inc()
		back := vb.WithLabelValues("back")
		back.Inc()
		vb.WithLabelValues("stays").Inc()
		elapse(2 * time.Second)
		va.DeleteLabelValues("gone")
		va.DeleteLabelValues("back")
		elapse(DefRefreshPeriod + time.Second) // b is told
		back.Add(2)
		elapse(2 * time.Second)
		server.Restore(before) // then a deletes again, which spares what began after it was asked for
		elapse(2 * DefRefreshPeriod)
		stored(t, server).want(t, samples{`c_total{k="back"}`: 2, `c_total{k="stays"}`: 1})
	})
}

// A batch may be the first to find that Redis stepped back, before anything is registered again.
func TestMarks_AStepBackThatABatchFindsTellsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.HideLineage(true)
		r := process(t, server, Opts{})
		v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
		v.WithLabelValues("first").Inc()
		elapse(2 * time.Second)
		before := server.Snapshot()
		v.WithLabelValues("lost").Inc()
		elapse(keepFor + time.Minute) // its batch is kept no more
		server.Restore(before)
		v.WithLabelValues("first").Inc()
		flush(t, r)
		if n := children(r, "c_total"); n != 1 {
			t.Errorf("the process has %d children, and Redis one series", n)
		}
	})
}
