// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestSync_ConcurrentCallersShareCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(time.Second)
		j.intervene(only(memstore.OpCommit, func(string) error { // a round trip takes its time
			time.Sleep(10 * time.Millisecond)
			return nil
		}))
		j.forget()
		const callers = 100
		var mu sync.Mutex
		highest := 0.0
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				time.Sleep(time.Duration(i%3) * time.Millisecond)
				total, err := c.AddSync(t.Context(), float64(i))
				if err != nil {
					t.Error(err)
				}
				if total < float64(i) {
					t.Errorf("the total %v lacks the own %d", total, i)
				}
				mu.Lock()
				highest = max(highest, total)
				mu.Unlock()
			})
		}
		group.Wait()
		if want := float64(callers * (callers - 1) / 2); highest != want {
			t.Errorf("the highest total is %v, want %v", highest, want)
		}
		if n := j.count(commitC); n > 3 {
			t.Errorf("%d commits for %d callers", n, callers)
		}
	})
}

func TestSync_TotalsAreTheFleetsAndIncludeTheOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		one := orders(process(t, server, Opts{})).WithLabelValues("EUR", "book")
		two := orders(process(t, server, Opts{})).WithLabelValues("EUR", "book")
		steps := []struct {
			do   func(context.Context) (float64, error)
			want float64
		}{
			{one.IncSync, 1},
			{two.IncSync, 2},
			{func(ctx context.Context) (float64, error) { return one.AddSync(ctx, 0.5) }, 2.5},
			{func(ctx context.Context) (float64, error) { return two.AddSync(ctx, 0) }, 2.5},
			{func(ctx context.Context) (float64, error) { two.Add(4); return one.AddSync(ctx, 1e-9) }, 2.500000001},
		}
		for i, s := range steps {
			if got, err := s.do(t.Context()); err != nil || got != s.want {
				t.Errorf("step %d: %v, %v; want %v", i, got, err, s.want)
			}
		}
	})
}

func TestSync_LostReplyStillGivesTheTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(time.Second)
		lose := 3
		server.LoseReply(only(memstore.OpCommit, func(string) error {
			if lose--; lose >= 0 {
				return errBroken
			}
			return nil
		}))
		if total, err := c.AddSync(t.Context(), 5); err != nil || total != 5 {
			t.Errorf("AddSync returns %v, %v; want 5", total, err)
		}
		if lose >= 0 {
			t.Error("no reply was lost")
		}
		stored(t, server).want(t, samples{"c_total": 5})
	})
}

func TestSync_EveryMetricIsOnThePageWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour})
		synctest.Wait()
		ctx := t.Context()
		g := r.NewGauge(GaugeOpts{Name: "g", Mode: Sum})
		last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
		total := r.NewGauge(GaugeOpts{Name: "total", Mode: Total})
		h := r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{1}})
		s := r.NewSummary(SummaryOpts{Name: "s"})
		for name, do := range map[string]func() error{
			"Gauge.SetSync":         func() error { return g.SetSync(ctx, 2) },
			"Gauge.SetSync, Latest": func() error { return last.SetSync(ctx, 3) },
			"Gauge.AddSync, Total":  func() error { return total.AddSync(ctx, -6) },
			"Histogram.ObserveSync": func() error { return h.ObserveSync(ctx, 0.5) },
			"Summary.ObserveSync":   func() error { return s.ObserveSync(ctx, 4) },
		} {
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		page := stored(t, server)
		page.want(t, samples{"g": 2, "last": 3, "total": -6, "h_sum": 0.5, "h_count": 1, "s_sum": 4, "s_count": 1})
		if err := g.AddSync(ctx, -0.5); err != nil {
			t.Error(err)
		}
		stored(t, server).want(t, samples{"g": 1.5})
	})
}

func TestSync_GivingUpIsNotConfirmedAndDeliveredOnce(t *testing.T) {
	for name, test := range map[string]struct {
		set             func(*memstore.Server, func(op string) error)
		fault           func(op string) error
		lost, lostGauge bool // the counter's, the gauge's write is not confirmed
	}{
		"the store is away":     {(*memstore.Server).Fail, away, true, true},
		"its replies are lost":  {(*memstore.Server).LoseReply, away, true, true},
		"commits are refused":   {(*memstore.Server).Fail, only(memstore.OpCommit, func(string) error { return refusal }), true, false},
		"gauge writes are lost": {(*memstore.Server).LoseReply, only(memstore.OpWriteGauges, away), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := process(t, server, Opts{})
				c := r.NewCounter(CounterOpts{Name: "c_total"})
				g := r.NewGauge(GaugeOpts{Name: "g", Mode: Sum})
				if err := g.SetSync(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				test.set(server, test.fault)
				write := func(lost bool, name string, do func(ctx context.Context) error) {
					t.Helper()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					err := do(ctx)
					if !lost { // it may have to wait for a retry of the other
						return
					}
					if mentions(t, err, name, "not confirmed yet"); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v, want that its context ended", name, err)
					}
				}
				write(test.lost, "c_total", func(ctx context.Context) error { _, err := c.AddSync(ctx, 3); return err })
				write(test.lostGauge, `"g"`, func(ctx context.Context) error { return g.SetSync(ctx, 7) })
				for _, f := range []*family{c.consts.fam, g.consts.fam} {
					f.mu.Lock()
					if n := len(f.waiters); n != 0 {
						t.Errorf("%s: %d callers who gave up are remembered", f.def.name, n)
					}
					f.mu.Unlock()
				}
				test.set(server, nil)
				elapse(10 * time.Second)
				stored(t, server).want(t, samples{"c_total": 3, "g": 7})
				if total, err := c.IncSync(t.Context()); total != 4 || err != nil {
					t.Errorf("afterwards IncSync returns %v, %v", total, err)
				}
			})
		})
	}
}

// syncWrites are all synchronous forms on one registry, each with a value of its own kind.
func syncWrites(ctx context.Context, r *Registry) map[string]func(v float64) error {
	c, g := r.NewCounter(CounterOpts{Name: "c_total"}), r.NewGauge(GaugeOpts{Name: "g", Mode: Sum})
	h, s := r.NewHistogram(HistogramOpts{Name: "h"}), r.NewSummary(SummaryOpts{Name: "s"})
	last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
	return map[string]func(v float64) error{
		"Counter.AddSync":       func(v float64) error { _, err := c.AddSync(ctx, v); return err },
		"Counter.IncSync":       func(float64) error { _, err := c.IncSync(ctx); return err },
		"Gauge.SetSync":         func(v float64) error { return g.SetSync(ctx, v) },
		"Gauge.AddSync":         func(v float64) error { return g.AddSync(ctx, v) },
		"Latest.SetSync":        func(v float64) error { return last.SetSync(ctx, v) },
		"Histogram.ObserveSync": func(v float64) error { return h.ObserveSync(ctx, v) },
		"Summary.ObserveSync":   func(v float64) error { return s.ObserveSync(ctx, v) },
	}
}

func TestSync_ErrorsSayWhatBecomesOfTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		ctx := t.Context()
		unconnected, readOnly, closed, never := New(), New(), New(), New()
		connectTo(t, server, readOnly, Opts{ReadOnly: true})
		connectTo(t, server, closed, Opts{})
		for _, r := range []*Registry{closed, never} { // never was not connected
			if err := r.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			r     *Registry
			want  error
			words string
		}{
			{unconnected, ErrNotConnected, "kept in memory, and delivered once"},
			{readOnly, ErrReadOnly, "goes nowhere"}, {closed, ErrClosed, "goes nowhere"}, {never, ErrClosed, "goes nowhere"},
		} {
			for name, write := range syncWrites(ctx, tt.r) {
				err := write(2)
				if !errors.Is(err, tt.want) || errors.Is(err, ErrLost) {
					t.Errorf("%s returns %v, want %v", name, err, tt.want)
				}
				mentions(t, err, tt.words)
			}
		}
		if err := readOnly.Flush(ctx); err != nil {
			t.Errorf("flushing a read-only registry: %v", err)
		}
		connectTo(t, server, unconnected, Opts{}) // and what was counted is still there
		flush(t, unconnected)
		page := stored(t, server)
		page.want(t, samples{"c_total": 3, "last": 2, "s_count": 1, "s_sum": 2})
		if g := page["g"]; g != 2 && g != 4 { // the order of the writes is not fixed
			t.Errorf("g is %v", g)
		}
	})
}

// Whenever Close comes, what a call says of its value is true.
func TestSync_ACloseAtTheSameTimeDeliversOrRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		h := r.NewHistogram(HistogramOpts{Name: "h"})
		elapse(time.Second)
		j.intervene(func(string) error { // every answer takes its time
			time.Sleep(3 * time.Millisecond)
			return nil
		})
		const callers = 300
		var added, observed, refused atomic.Int64
		note := func(n *atomic.Int64, err error) {
			switch {
			case err == nil:
				n.Add(1)
			case errors.Is(err, ErrClosed) && !errors.Is(err, ErrLost):
				refused.Add(1)
			default:
				t.Errorf("an unclear answer: %v", err)
			}
		}
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				_, err := c.IncSync(t.Context())
				note(&added, err)
				note(&observed, h.ObserveSync(t.Context(), 1))
			})
		}
		time.Sleep(15 * time.Millisecond)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		group.Wait()
		if added.Load() == 0 || refused.Load() == 0 {
			t.Errorf("%d calls succeeded and %d were refused: they did not meet the Close", added.Load(), refused.Load())
		}
		page := stored(t, server)
		if got := page["c_total"]; got != float64(added.Load()) {
			t.Errorf("the page has %v, want the %d that were confirmed", got, added.Load())
		}
		if got := page["h_count"]; got != float64(observed.Load()) {
			t.Errorf("the page has %v observations, want the %d that were confirmed", got, observed.Load())
		}
	})
}

func TestSync_WhatACloseCouldNotDeliverMayBeLost(t *testing.T) {
	for _, gaveUp := range []bool{false, true} { // the callers, before Close
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			writes := syncWrites(t.Context(), r)
			if gaveUp {
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				writes = syncWrites(ctx, r)
			}
			flush(t, r)
			server.Fail(away)
			var group sync.WaitGroup
			for name, write := range writes {
				group.Go(func() {
					err := write(1)
					if gaveUp {
						mentions(t, err, "not confirmed yet", "Close")
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%s returns %v", name, err)
						}
						return
					}
					if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrLost) {
						t.Errorf("%s returns %v, want ErrClosed and ErrLost", name, err)
					}
				})
			}
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var undelivered *UndeliveredError
			if err := r.Close(ctx); !errors.As(err, &undelivered) || undelivered.NeverSent+undelivered.InDoubt == 0 {
				t.Errorf("Close returns %v", err)
			}
			group.Wait()
		})
	}
}

// OnError may close the registry when a value is rejected.
func TestSync_ARejectedValueIsReportedWithoutALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *Registry
		r = process(t, memstore.New(), Opts{OnError: func(error) { _ = r.Close(context.Background()) }})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		if _, err := c.AddSync(t.Context(), -1); !errors.Is(err, ErrRejected) {
			t.Errorf("AddSync returns %v", err)
		}
	})
}

// Another type holds the name: waiting would be in vain.
func TestSync_AClashIsReturnedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		a.NewCounter(CounterOpts{Name: "x"})
		flush(t, a)
		g, h := b.NewGauge(GaugeOpts{Name: "x", Mode: Sum}), b.NewCounter(CounterOpts{Name: "y_total"})
		for range 3 {
			begin := time.Now()
			var clash *TypeClashError
			if err := g.SetSync(t.Context(), 1); !errors.As(err, &clash) || clash.Existing != "counter" || clash.Requested != "gauge" {
				t.Errorf("SetSync returns %v", err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("SetSync took %v", took)
			}
			if _, err := h.IncSync(t.Context()); err != nil {
				t.Errorf("another metric: %v", err)
			}
			elapse(7 * time.Second)
		}
		if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "rename") {
			t.Errorf("Flush returns %v", err)
		}
		stored(t, server).want(t, samples{"x": 0, "y_total": 3})

		server.Wipe() // and the name is free: both ask for it again
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		server.Wipe()
		elapse(2 * time.Minute)
		stored(t, server).want(t, samples{"x": 1})
		if err := b.Flush(t.Context()); err != nil {
			t.Errorf("Flush returns %v after the name is free", err)
		}
	})
}
