// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestClose_DrainsRemovesGaugesAndGivesBackTheIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour})
		synctest.Wait()
		c, g := r.NewCounter(CounterOpts{Name: "c_total"}), r.NewGauge(GaugeOpts{Name: "g"})
		last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
		g.Set(1)
		flush(t, r)
		stored(t, server).want(t, samples{`g{gauge_index="0"}`: 1})
		c.Add(5)
		last.Set(6)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		page := stored(t, server)
		page.want(t, samples{"c_total": 5, "last": 6})
		page.lacks(t, "g{")
		next := process(t, server, Opts{})
		next.NewGauge(GaugeOpts{Name: "g"}).Set(2)
		flush(t, next)
		stored(t, server).want(t, samples{`g{gauge_index="0"}`: 2})
	})
}

// The error of Close says exactly of how many series Redis lacks something, or may lack it;
// shoal's own metrics don't count.
// A program that forgets Open would lose everything in silence.
func TestClose_OfARegistryThatWasNeverConnectedWarnsOnceOfWhatWasCounted(t *testing.T) {
	var log strings.Builder
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	idle, counted := New(), New()
	for _, r := range []*Registry{idle, counted} {
		c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
		r.NewGauge(GaugeOpts{Name: "g"}).Set(1)
		if r == counted {
			c.WithLabelValues("1").Inc()
		}
	}
	for _, r := range []*Registry{idle, counted, counted} {
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "values of 1 series were never sent") || !strings.Contains(got, "call Connect or Open first") {
		t.Errorf("logged is %q", got)
	}
}

func TestClose_SaysWhatItLeavesWhileTheStoreIsAway(t *testing.T) {
	type left struct{ neverSent, inDoubt int }
	hangs := func(string) error { time.Sleep(time.Hour); return errBroken }
	intervene := func(fault func(string) error) func(*memstore.Server) {
		return func(server *memstore.Server) { journalOf(server).intervene(fault) }
	}
	for name, test := range map[string]struct {
		fault   func(server *memstore.Server)
		timeout time.Duration // of Close's context
		took    time.Duration
		want    left
		has     samples // what arrived nevertheless
	}{
		"nothing can be reached": {
			intervene(away), 3 * time.Second, 3 * time.Second, left{neverSent: 5}, samples{},
		},
		"nothing can be reached, and Close has no deadline": {
			intervene(away), 0, closeTimeout, left{neverSent: 5}, samples{},
		},
		"everything hangs, and Close has no deadline": {
			intervene(hangs), 0, closeTimeout, left{neverSent: 5}, samples{},
		},
		"everything is refused": {
			intervene(func(string) error { return refusal }), 3 * time.Second, 3 * time.Second, left{neverSent: 5}, samples{},
		},
		"one family is refused": { // its batch was sent and refused
			intervene(only(commitC, func(string) error { return refusal })), 3 * time.Second, 3 * time.Second,
			left{neverSent: 2}, samples{`h_count{a="1"}`: 1, `h_count{a="2"}`: 1, "last": 4},
		},
		"the answers of one family are lost": {
			func(server *memstore.Server) { server.LoseReply(only(commitC, away)) }, 3 * time.Second, 3 * time.Second,
			left{inDoubt: 2}, samples{`c_total{a="1"}`: 1, `c_total{a="2"}`: 2, "last": 4},
		},
		"it hangs in the middle of a pipeline": { // the answer of c_total is not read yet
			intervene(only(memstore.OpCommit+" h", hangs)), 3 * time.Second, 3 * time.Second,
			left{inDoubt: 5}, samples{`c_total{a="1"}`: 1, `c_total{a="2"}`: 2},
		},
		"only the lease is not given back": {
			intervene(only(memstore.OpRelease, away)), 3 * time.Second, 3 * time.Second,
			left{}, samples{`c_total{a="1"}`: 1, `c_total{a="2"}`: 2, `h_count{a="1"}`: 1, "last": 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := process(t, server, Opts{Interval: time.Hour, LeaseDuration: time.Hour})
				synctest.Wait() // it has its lease
				c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
				h := r.NewHistogramVec(HistogramOpts{Name: "h"}, []string{"a"})
				last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
				r.NewGauge(GaugeOpts{Name: "g"}).Set(1) // goes with the process: nothing of it is lost
				c.WithLabelValues("1").Inc()
				c.WithLabelValues("2").Add(2)
				h.WithLabelValues("1").Observe(1)
				h.WithLabelValues("2").Observe(1)
				last.Set(4)
				test.fault(server)
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				begin := time.Now()
				err := r.Close(ctx)
				if took := time.Since(begin); took != test.took {
					t.Errorf("Close took %v, want %v", took, test.took)
				}
				var u *UndeliveredError
				if !errors.As(err, &u) {
					t.Fatalf("Close returns %v", err)
				}
				if got := (left{u.NeverSent, u.InDoubt}); got != test.want || u.Err == nil {
					t.Errorf("undelivered are %+v, want %+v: %v", got, test.want, err)
				}
				if again := r.Close(t.Context()); again != err {
					t.Errorf("closing again returns %v", again)
				}
				elapse(2 * time.Hour) // what hangs ends
				journalOf(server)
				server.LoseReply(nil)
				page := stored(t, server)
				for series, v := range test.has {
					if page[series] != v {
						t.Errorf("the store has %s %v, want %v", series, page[series], v)
					}
				}
			})
		})
	}
}

// What was acknowledged before the store began to hang is not counted as left.
func TestClose_CountsNoBatchThatWasAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour, LeaseDuration: time.Hour})
		synctest.Wait()
		const most = callWeight / batchCost // batches a call
		const families = 2 * most
		for i := range families {
			r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", i)}).Inc()
		}
		last := fmt.Sprintf("%s c%d_total", memstore.OpCommit, families-1)
		journalOf(server).intervene(only(last, func(string) error { time.Sleep(time.Hour); return errBroken }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Close(ctx)
		var u *UndeliveredError
		if !errors.As(err, &u) || u.NeverSent != 0 || u.InDoubt == 0 || u.InDoubt > most {
			t.Errorf("Close gives %v", err)
		}
		elapse(2 * time.Hour)
	})
}

func TestClose_TriesUntilTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		j.intervene(away)
		time.AfterFunc(5*time.Second, func() { j.intervene(nil) })
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		stored(t, server).want(t, samples{"c_total": 1})
	})
}

func TestClose_GivesBackTheIndexThoughTheReplyIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewGauge(GaugeOpts{Name: "g"}).Set(1)
		flush(t, r)
		n := 0
		server.LoseReply(only(memstore.OpRelease, func(string) error {
			if n++; n < 3 {
				return errBroken
			}
			return nil
		}))
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n != 3 {
			t.Errorf("asked %d times", n)
		}
		stored(t, server).lacks(t, "g{")
	})
}

// A series counts once, whatever is left of it where: in batches, and since they were made.
func TestClose_CountsASeriesThatCountsOnOnce(t *testing.T) {
	for name, test := range map[string]struct {
		fault              func(server *memstore.Server)
		neverSent, inDoubt int
	}{
		"refused":        {func(s *memstore.Server) { s.Fail(only(commitC, func(string) error { return refusal })) }, 2, 0},
		"without answer": {func(s *memstore.Server) { s.LoseReply(only(commitC, away)) }, 2, 1}, // what was counted since is not sent
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := process(t, server, Opts{LeaseDuration: time.Hour})
				c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
				elapse(time.Second)
				test.fault(server)
				c.WithLabelValues("1").Inc()
				elapse(10 * time.Second)
				c.WithLabelValues("1").Inc()
				c.WithLabelValues("2").Inc()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				var u *UndeliveredError
				if err := r.Flush(ctx); !errors.As(err, &u) || u.NeverSent != test.neverSent || u.InDoubt != test.inDoubt {
					t.Errorf("Flush gives %v, want %d never sent and %d in doubt", err, test.neverSent, test.inDoubt)
				}
			})
		})
	}
}

func TestClose_AClashIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		a.NewCounter(CounterOpts{Name: "x_total"}).Inc()
		flush(t, a)
		b.NewSummary(SummaryOpts{Name: "x_total"}).Observe(1)
		b.NewCounter(CounterOpts{Name: "y_total"}).Inc()
		err := b.Close(t.Context())
		var left *UndeliveredError
		var clash *TypeClashError
		if !errors.As(err, &left) || !errors.As(err, &clash) || left.NeverSent != 1 || left.InDoubt != 0 {
			t.Errorf("Close returns %v", err)
		}
		mentions(t, err, "x_total", "summary", "counter")
		stored(t, server).want(t, samples{"x_total": 1, "y_total": 1})
	})
}

// The race detector also checks that no WaitGroup grows while somebody waits for it.
func TestClose_AScrapeMayBeginAtTheSameTime(t *testing.T) {
	for range 100 {
		r := process(t, memstore.New(), Opts{ReadOnly: true})
		page := r.Handler(HandlerOpts{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 3 {
					ask(page, http.MethodGet, nil)
				}
			})
		}
		all.Go(func() { _ = r.Close(context.Background()) })
		all.Wait()
	}
}

func TestUndeliveredError_CountsAndUnwraps(t *testing.T) {
	err := &UndeliveredError{NeverSent: 3, InDoubt: 2, Err: context.DeadlineExceeded}
	if text := fmt.Sprint(err); !strings.Contains(text, "3 series were never sent") || !strings.Contains(text, "2 series are in doubt") {
		t.Error(text)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("does not unwrap")
	}
}

// A job that ends after a Flush alone counts as a living process until its lease ends,
// which hides that no process lives.
func TestClose_RemovesAJobAtOnceWhichFlushAloneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		reader := process(t, server, Opts{ReadOnly: true})
		living := func() int {
			t.Helper()
			list, err := reader.Instances(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		job := process(t, server, Opts{})
		job.NewCounter(CounterOpts{Name: "rows_total"}).Add(3)
		job.NewGauge(GaugeOpts{Name: "open_files", Mode: Sum}).Set(2)
		flush(t, job)
		if n := living(); n != 1 {
			t.Errorf("%d processes live after a Flush, want 1", n)
		}
		scrape(t, reader).want(t, samples{"rows_total": 3, "open_files": 2})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := job.Close(ctx); err != nil {
			t.Error(err)
		}
		if n := living(); n != 0 {
			t.Errorf("%d processes live after Close, want none", n)
		}
		page := scrape(t, reader)
		page.want(t, samples{"rows_total": 3})
		page.lacks(t, "open_files")
	})
}
