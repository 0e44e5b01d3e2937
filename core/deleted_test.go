// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// childOps are the operations on a metric's children, for any kind of metric.
type childOps struct {
	create  func(label string) (write func())
	deletes func(labels Labels) bool
	match   func(labels Labels) int
	reset   func()
}

func childOpsOf[M Counter | Gauge | Summary | Histogram](v *Vec[M], write func(*M)) childOps {
	create := func(label string) func() {
		m := v.WithLabelValues(label)
		return func() { write(m) }
	}
	return childOps{create, v.Delete, v.DeletePartialMatch, v.Reset}
}

// declareAll declares a metric of each kind.
func declareAll(r *Registry) map[string]childOps {
	a := []string{"a"}
	k := CounterOpts{Name: "k_total", ConstLabels: Labels{"k": "v"}}
	all := map[string]childOps{
		"counter":   childOpsOf(r.NewCounterVec(CounterOpts{Name: "c_total"}, a), (*Counter).Inc),
		"constant":  childOpsOf(r.NewCounterVec(k, a), (*Counter).Inc),
		"summary":   childOpsOf(r.NewSummaryVec(SummaryOpts{Name: "s"}, a), func(s *Summary) { s.Observe(1) }),
		"histogram": childOpsOf(r.NewHistogramVec(HistogramOpts{Name: "h"}, a), func(h *Histogram) { h.Observe(1) }),
		"total":     childOpsOf(r.NewGaugeVec(GaugeOpts{Name: "gtotal", Mode: Total}, a), (*Gauge).Inc),
	}
	for _, mode := range []Mode{PerProcess, Max, Latest} {
		v := r.NewGaugeVec(GaugeOpts{Name: "g" + string(mode), Mode: mode}, a)
		all["gauge "+string(mode)] = childOpsOf(v, func(g *Gauge) { g.Set(1) })
	}
	return all
}

// waysToDelete are the ways in which a child is deleted, with what is written to it before
// and after that.
var waysToDelete = map[string]func(c childOps, label string){
	"Delete":                      func(c childOps, label string) { c.create(label)(); c.deletes(Labels{"a": label}) },
	"Delete, unwritten":           func(c childOps, label string) { c.create(label); c.deletes(Labels{"a": label}) },
	"DeletePartialMatch":          func(c childOps, label string) { c.create(label)(); c.match(Labels{"a": label}) },
	"Reset":                       func(c childOps, label string) { c.create(label)(); c.reset() },
	"Delete of what is not there": func(c childOps, label string) { c.deletes(Labels{"a": label}) },
	"the same again":              func(c childOps, _ string) { c.create("same")(); c.deletes(Labels{"a": "same"}) },
	"Delete, then written": func(c childOps, label string) {
		write := c.create(label)
		c.deletes(Labels{"a": label})
		write()
	},
	"Reset, then written": func(c childOps, label string) {
		write := c.create(label)
		c.reset()
		write()
	},
}

// heap is how many bytes the live objects take.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second collects what sync.Pools held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// However many series are created and deleted while Redis is away, before Connect, or in a
// process that only reads, only those that still exist take memory.
func TestMemory_OfSeriesThatComeAndGoIsThatOfTheLiving(t *testing.T) {
	const n, more, limit = 1500, 4500, 100
	places := map[string]func(t *testing.T) *Registry{
		"not connected": func(*testing.T) *Registry { return New() },
		"away": func(t *testing.T) *Registry {
			server := memstore.New()
			r := process(t, server, Opts{Interval: 10 * time.Millisecond})
			server.Fail(func(string) error { return io.EOF })
			t.Cleanup(func() { server.Fail(nil) })
			return r
		},
		"read only": func(t *testing.T) *Registry { return process(t, memstore.New(), Opts{ReadOnly: true}) },
	}
	for place, registry := range places {
		for way, run := range waysToDelete {
			if place != "not connected" && way != "Delete" && way != "Reset, then written" {
				continue
			}
			r := registry(t)
			r.limit.Store(limit)
			all := declareAll(r)
			rounds := func(from, to int) int64 {
				for i := from; i < to; i++ {
					label := fmt.Sprintf("label value %d", i)
					for _, c := range all {
						run(c, label)
					}
				}
				return heap()
			}
			before := heap()
			few := rounds(0, n) - before
			many := rounds(n, more) - before
			if most := 2*max(few, 0) + 512<<10; many > most {
				t.Errorf("%s, %s: %d bytes after %d series, %d after %d", place, way, few, n, many, more)
			}
			runtime.KeepAlive(r)
		}
	}
}

// Many deletions make a family thin out its list of series. What was counted still reaches
// Redis, once: deleted values do not, and what old children count after that is in the sums.
func TestDelete_ThinningOutLosesAndDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, rounds = 50, 3 * minDeleted
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: limit})
		synctest.Wait() // it has the index 0
		other := process(t, server, Opts{SeriesLimit: limit})
		all := declareAll(r)
		for _, c := range declareAll(other) {
			c.create("of the other")()
		}
		for _, c := range all {
			c.create("dropped")()
		}
		flush(t, r)
		flush(t, other)
		server.Fail(func(string) error { return io.EOF })
		for _, c := range all {
			c.create("kept")()
			c.deletes(Labels{"a": "dropped"})
			for i := range rounds {
				write := c.create(fmt.Sprint("old ", i))
				c.deletes(Labels{"a": fmt.Sprint("old ", i)})
				write()
				c.create(fmt.Sprint("gone ", i))()
				c.deletes(Labels{"a": fmt.Sprint("gone ", i)})
			}
			c.create("kept")()
		}
		server.Fail(nil)
		elapse(time.Minute)
		flush(t, r)
		page := stored(t, server)
		for series, want := range (samples{
			`c_total{a="kept"}`: 2, `s_count{a="kept"}`: 2, `h_count{a="kept"}`: 2, `gtotal{a="kept"}`: 2,
			`g{a="kept",gauge_index="0"}`: 1, `gmax{a="kept"}`: 1, `glatest{a="kept"}`: 1,
			`c_total{a="of the other"}`: 1, `g{a="of the other",gauge_index="1"}`: 1,
		}) {
			if got, found := page[series]; !found || got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
		}
		for _, family := range []string{"c_total{", "k_total{", "s_count{", "h_count{", "gtotal{"} {
			sum, n := 0.0, 0
			for series, value := range page {
				if strings.HasPrefix(series, family) {
					sum += value
					n++
				}
			}
			if want := float64(2 + 1 + rounds); sum != want {
				t.Errorf("%s...} adds up to %v, want %v", family, sum, want)
			}
			if n > limit+1 {
				t.Errorf("%d series of %s", n, family)
			}
		}
		for series := range page {
			if strings.Contains(series, "gone") || strings.Contains(series, "dropped") {
				t.Errorf("%s was deleted", series)
			}
		}
	})
}

// While a family thins out its list, beside writes, deletions and flushes, what a child that
// is not deleted counts arrives once, with the Flush that follows.
func TestDelete_ThinningOutBesideFlushesAndWrites(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{Interval: time.Millisecond})
	c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	living := c.WithLabelValues("living")
	var group sync.WaitGroup
	for g := range 2 {
		group.Go(func() {
			for i := range 4 * minDeleted {
				label := fmt.Sprint(g, " ", i)
				c.WithLabelValues(label).Inc()
				c.DeleteLabelValues(label)
			}
		})
	}
	for i := range 200 {
		living.Inc()
		flush(t, r)
		if n, want := stored(t, server)[`c_total{a="living"}`], float64(i+1); n != want {
			t.Fatalf("%v are stored after a Flush, want %v", n, want)
		}
	}
	group.Wait()
}

// A deletion is queued once, however often it is asked for, and one that finds the
// queue full is counted and reported. Reset needs no room.
func TestDelete_WaitsOnceForEachSeriesWhileRedisIsAway(t *testing.T) {
	const limit = 5
	heard := new(troubles)
	r := New()
	r.limit.Store(limit)
	r.limiter.connect(heard.add, slog.Default())
	c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	f := c.consts.fam
	for range 3 * limit {
		c.DeleteLabelValues("same")
		c.DeletePartialMatch(Labels{"a": "other"})
	}
	if n := f.deletions.len(); n != 2 {
		t.Errorf("%d deletions wait, want 2", n)
	}
	for i := range 3 * limit {
		c.DeleteLabelValues(fmt.Sprint(i))
	}
	if n, lost := f.deletions.len(), selfValue(r, "shoal_rejected_observations_total", reasonDeletion); n != limit || lost != 2*limit+2 {
		t.Errorf("%d deletions wait and %v were dropped, want %d and %d", n, lost, limit, 2*limit+2)
	}
	c.Reset()
	c.DeleteLabelValues("same")
	if n := f.deletions.len(); n != 1 || !f.deletions.all {
		t.Errorf("%d deletions wait after a Reset, want that alone", n)
	}
}

// Reset of a metric with constant labels deletes by these labels, and needs no room either.
func TestDelete_ResetNeedsNoRoomBesideConstantLabels(t *testing.T) {
	const limit = 5
	r := New()
	r.limit.Store(limit)
	a := r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"shop": "a"}}, []string{"b"})
	b := r.NewCounterVec(CounterOpts{Name: "c_total", ConstLabels: Labels{"shop": "b"}}, []string{"b"})
	for i := range limit {
		a.DeleteLabelValues(fmt.Sprint(i))
	}
	b.Reset()
	f := b.consts.fam
	if lost := selfValue(r, "shoal_rejected_observations_total", reasonDeletion); lost != 0 || !f.deletions.cover(b.consts.field([]string{"x"})) {
		t.Errorf("the Reset was dropped: %v", f.deletions)
	}
	if a.DeleteLabelValues("x"); f.deletions.cover(a.consts.field([]string{"x"})) {
		t.Error("the queue has no bound any more")
	}
}

// While Redis does not answer, nobody can find the series that deletions match. These
// deletions wait, and those asked for meanwhile too, within one bound.
func TestDelete_WhatWaitsForASearchIsBounded(t *testing.T) {
	const limit = 5
	server := memstore.New()
	reg, w := stepped(server.Store("shop"))
	reg.limit.Store(limit)
	c := reg.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	c.WithLabelValues("kept").Inc()
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	asked := 0
	ask := func() {
		for range limit {
			c.DeletePartialMatch(Labels{"a": fmt.Sprint(asked)})
			asked++
		}
	}
	ask()
	server.Fail(only(memstore.OpScan, func(string) error {
		ask()
		return errBroken
	}))
	for range 4 {
		if err := w.flushAll(); err == nil {
			t.Fatal("the search that failed went unnoticed")
		}
	}
	server.Fail(nil)
	n, lost := c.consts.fam.deletions.len(), 0.0
	for value := range strings.SplitSeq(storedText(t, server, "shoal_rejected_observations_total"), ",") {
		more, _ := strconv.ParseFloat(value, 64)
		lost += more
	}
	lost += selfValue(reg, "shoal_rejected_observations_total", reasonDeletion)
	if n != limit || lost != float64(asked-limit) {
		t.Errorf("of %d deletions %d wait and %v are counted as dropped, want %d and the others", asked, n, lost, limit)
	}
}

// An hour without Redis may leave thousands of deletions by partial match. To find their
// series takes as long as for a few.
func TestDelete_ManyPartialMatchesAreSearchedForTogether(t *testing.T) {
	took := func(matches int) time.Duration {
		var r deletions
		for i := range matches {
			r.addMatch(Labels{"tenant": fmt.Sprint(i)}, matches)
		}
		best := time.Hour
		for range 5 {
			begin := time.Now()
			for i := range 200 {
				field := wire.EncodeField([]string{"route", "tenant"}, []string{"/", fmt.Sprint(i, i%2 == 0)})
				if r.matchField(field) {
					t.Fatalf("%q is deleted", field)
				}
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	if few, many := took(20), took(2000); many > 20*few {
		t.Errorf("it takes %v with 20 deletions and %v with 2,000", few, many)
	}
}

// Callers of synchronous writes who gave up leave nothing behind, whatever Redis
// refuses meanwhile.
func TestMemory_OfSynchronousWritesThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		g := r.NewGauge(GaugeOpts{Name: "g"})
		c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a", "b"})
		c.WithLabelValues("x", "y").Inc()
		flush(t, r)
		journalOf(server).intervene(func(op string) error { // writes of gauges, and scans, fail late
			if strings.HasPrefix(op, memstore.OpWriteGauges) || strings.HasPrefix(op, memstore.OpScan) {
				time.Sleep(time.Second)
				return errors.New("OOM")
			}
			return nil
		})
		for range 20 {
			c.DeletePartialMatch(Labels{"a": "x"})
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					_ = g.SetSync(ctx, 1)
					_, _ = c.WithLabelValues("x", "z").AddSync(ctx, 1)
				})
			}
			group.Wait()
			elapse(1500 * time.Millisecond)
		}
		for _, f := range []*family{g.consts.fam, c.consts.fam} {
			f.mu.Lock()
			if n := len(f.waiters); n > 100 {
				t.Errorf("%s: %d callers who gave up are remembered", f.def.name, n)
			}
			f.mu.Unlock()
		}
		journalOf(server).intervene(nil)
		elapse(time.Minute)
	})
}

// There is no cap of living series before Connect, but the deleted ones do not pile up.
func TestMemory_OfDeletedSeriesWrittenBeforeConnectIsBounded(t *testing.T) {
	r := New()
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	const many = 3 * DefSeriesLimit
	for i := range many {
		label := strconv.Itoa(i)
		c := v.WithLabelValues(label)
		v.DeleteLabelValues(label)
		c.Inc() // through a handle from before
	}
	kept, sum := 0, 0.0
	v.consts.takeDirty(func(s *series) {
		kept++
		sum += s.metric.(*Counter).value()
	})
	if kept > 2*DefSeriesLimit {
		t.Errorf("%d of %d deleted series are kept", kept, many)
	}
	if sum != many {
		t.Errorf("they and the overflow series have %v, want %d", sum, many)
	}
}
