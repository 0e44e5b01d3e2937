// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A store that answers slowly gets the time that Close was given.
func TestClose_WaitsForASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
		g := r.NewGauge(GaugeOpts{Name: "g"})
		c.WithLabelValues("1").Inc()
		g.Set(1)
		flush(t, r)
		journalOf(server).intervene(func(string) error { time.Sleep(200 * time.Millisecond); return nil })
		c.WithLabelValues("1").Inc()
		c.WithLabelValues("2").Inc()
		if err := r.Close(t.Context()); err != nil { // 10 s
			t.Error(err)
		}
		page := stored(t, server)
		page.want(t, samples{`c_total{a="1"}`: 2, `c_total{a="2"}`: 1})
		page.lacks(t, "g{")
	})
}

// Close comes while a flush is under way: its batch is not sent a second time,
// and what was counted meanwhile goes after it.
func TestClose_DuringAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		flush(t, r)
		j := journalOf(server)
		j.intervene(only(commitC, func(string) error { time.Sleep(time.Second); return nil }))
		c.Inc()
		flushed := make(chan error, 1)
		go func() { flushed <- r.Flush(t.Context()) }()
		elapse(100 * time.Millisecond)
		c.Add(10)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-flushed; err != nil {
			t.Errorf("Flush, which began before: %v", err)
		}
		if n := j.count(commitC); n != 2 {
			t.Errorf("%d batches were sent, want 2", n)
		}
		stored(t, server).want(t, samples{"c_total": 11})
	})
}

// Of several Closes the first one's context counts. Others wait for it as long
// as their own lets them.
func TestClose_EachKeepsItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		j := journalOf(server)
		j.intervene(away)
		first := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			first <- r.Close(ctx)
		}()
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("the second gives %v after %v", err, time.Since(begin))
		}
		gone, end := context.WithCancelCause(t.Context())
		end(errors.New("no time at all"))
		err := r.Close(gone)
		mentions(t, err, "another Close is at work", "no time at all")
		patient := make(chan error, 1)
		go func() { patient <- r.Close(context.Background()) }()
		synctest.Wait()
		j.intervene(nil)
		if err := <-first; err != nil {
			t.Errorf("the first gives %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("the one that waits gives %v", err)
		}
		stored(t, server).want(t, samples{"c_total": 1})
	})
}

func TestClose_WithoutAnyTimeSaysWhatIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{Interval: time.Hour})
		synctest.Wait()
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := r.Close(gone)
		var u *UndeliveredError
		// No error is right too: the bubble's clock stands still while Close works.
		if err != nil && (!errors.As(err, &u) || !errors.Is(err, context.Canceled)) {
			t.Errorf("Close gives %v", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

// Every call after Close is harmless: none panics, none starts a goroutine
// (the bubble would not end), none asks the store, and each that returns an
// error says that the registry is closed.
func TestClose_EveryCallAfterItIsHarmless(t *testing.T) {
	for name, connected := range map[string]bool{"connected": true, "never connected": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := New()
				if connected {
					connectTo(t, server, r, Opts{})
				}
				c, cv := r.NewCounter(CounterOpts{Name: "c_total"}), r.NewCounterVec(CounterOpts{Name: "cv_total"}, []string{"a"})
				g, gv := r.NewGauge(GaugeOpts{Name: "g"}), r.NewGaugeVec(GaugeOpts{Name: "gv"}, []string{"a"})
				last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
				h, s := r.NewHistogram(HistogramOpts{Name: "h"}), r.NewSummary(SummaryOpts{Name: "s"})
				kept := cv.WithLabelValues("kept")
				gv.WithLabelValues("kept").Set(1)
				page := r.Handler(HandlerOpts{})
				elapse(time.Minute)
				if err := r.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				j := journalOf(server)
				ctx := t.Context()

				c.Inc()
				c.Add(2)
				kept.Inc()
				cv.WithLabelValues("new").Inc()
				cv.With(Labels{"a": "newer"}).Add(1)
				g.Set(1)
				g.Inc()
				g.Dec()
				g.Add(1)
				g.Sub(1)
				g.SetToCurrentTime()
				last.Set(1)
				gv.WithLabelValues("new").Set(1)
				h.Observe(1)
				s.Observe(1)
				NewTimer(h).ObserveDuration()
				cv.DeleteLabelValues("kept")
				cv.Delete(Labels{"a": "new"})
				cv.DeletePartialMatch(Labels{"a": "newer"})
				cv.Reset()
				gv.DeleteLabelValues("kept")
				gv.Reset()
				r.NewCounter(CounterOpts{Name: "late_total"}).Inc()
				r.NewGauge(GaugeOpts{Name: "late_depth"}).Set(1)
				r.NewHistogramVec(HistogramOpts{Name: "late_seconds"}, []string{"a"}).WithLabelValues("1").Observe(1)
				r.NewSummary(SummaryOpts{Name: "late_bytes"}).Observe(1)
				var sampled atomic.Bool
				r.NewGaugeFunc(GaugeOpts{Name: "late_function"}, func() float64 { sampled.Store(true); return 1 })

				client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
				defer func() { _ = client.Close() }()
				_, errInc := c.IncSync(ctx)
				_, errAdd := cv.WithLabelValues("sync").AddSync(ctx, 2)
				_, errInstances := r.Instances(ctx)
				_, errGather := r.Gather()
				for call, err := range map[string]error{
					"IncSync": errInc, "AddSync": errAdd, "Instances": errInstances, "Gather": errGather,
					"SetSync": g.SetSync(ctx, 1), "SetSync of Latest": last.SetSync(ctx, 1),
					"Histogram.ObserveSync": h.ObserveSync(ctx, 1), "Summary.ObserveSync": s.ObserveSync(ctx, 1),
					"Flush": r.Flush(ctx), "Connect": r.Connect(client, Opts{App: "shop"}),
					"Open": r.Open("redis://127.0.0.1:1", Opts{App: "shop"}),
				} {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("%s gives %v, want ErrClosed", call, err)
					}
				}
				if w := ask(page, http.MethodGet, nil); w.Code != http.StatusServiceUnavailable {
					t.Errorf("the page answers %d", w.Code)
				}
				if err := r.Close(ctx); err != nil {
					t.Errorf("Close gives %v", err)
				}
				elapse(time.Hour)
				if n := j.count(""); n != 0 {
					t.Errorf("the store was asked %d times", n)
				}
				if sampled.Load() {
					t.Error("a gauge function was called")
				}
				if connected {
					left := stored(t, server)
					left.want(t, samples{"c_total": 0, `cv_total{a="kept"}`: 0})
					for _, prefix := range []string{"g{", "gv{", "last", "late"} {
						left.lacks(t, prefix)
					}
				}
			})
		})
	}
}

// Awaited writes, scrapes and several Closes at the same moment: each call returns, and
// Redis has every write that was confirmed.
func TestClose_RacesWithScrapesAndAwaitedWrites(t *testing.T) {
	for range 20 {
		server := memstore.New()
		r := New()
		if err := r.connect(Opts{App: "shop", OnError: func(error) {}}, server.Store, nil); err != nil {
			t.Fatal(err)
		}
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		g := r.NewGauge(GaugeOpts{Name: "g"})
		page := r.Handler(HandlerOpts{})
		var confirmed, attempted atomic.Int64
		begun := make(chan struct{}) // some are confirmed, and more are under way
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					attempted.Add(1)
					if _, err := c.IncSync(t.Context()); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					if confirmed.Add(1) == 20 {
						close(begun)
					}
				}
			})
			all.Go(func() {
				for ask(page, http.MethodGet, nil).Code == http.StatusOK {
				}
			})
			all.Go(func() {
				for g.SetSync(t.Context(), 1) == nil {
				}
			})
		}
		<-begun
		for range 3 {
			all.Go(func() {
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		left := stored(t, server)
		left.lacks(t, "g{")
		if got := int64(left["c_total"]); got < confirmed.Load() || got > attempted.Load() {
			t.Errorf("the store has %d, %d were confirmed of %d", got, confirmed.Load(), attempted.Load())
		}
	}
}
