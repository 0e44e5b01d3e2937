// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

func TestClose_TwiceAndFromManySidesIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		stored(t, server).want(t, samples{"c_total": 1})

		never := New()
		if err := errors.Join(never.Close(t.Context()), never.Close(t.Context())); err != nil {
			t.Errorf("closing what was never connected: %v", err)
		}
	})
}

func TestClose_SaysWhatItLeavesWhileTheStoreIsAway(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{{"its deadline", 3 * time.Second, 3 * time.Second}, {"no deadline", 0, closeTimeout}} {
		for _, fault := range []string{"broken", "hanging"} {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				j := journalOf(server)
				r := process(t, server, Opts{})
				v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
				elapse(2 * time.Second)
				j.intervene(func(string) error {
					if fault == "hanging" {
						time.Sleep(time.Hour)
					}
					return errBroken
				})
				v.WithLabelValues("1").Inc()
				v.WithLabelValues("2").Inc()
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				begin := time.Now()
				err := r.Close(ctx)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("%s, %s: Close took %v, want %v", tt.name, fault, took, tt.want)
				}
				var left *UndeliveredError
				if !errors.As(err, &left) {
					t.Fatalf("%s, %s: Close returns %v", tt.name, fault, err)
				}
				if left.Series+left.Batches == 0 || left.Err == nil {
					t.Errorf("%s, %s: %+v", tt.name, fault, left)
				}
				if again := r.Close(t.Context()); again != err {
					t.Errorf("closing again returns %v", again)
				}
				elapse(2 * time.Hour) // lets what hangs end
			})
		}
	}
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

func TestClose_WritesAfterItResurrectNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c, g := r.NewCounter(CounterOpts{Name: "c_total"}), r.NewGauge(GaugeOpts{Name: "g"})
		v := r.NewGaugeVec(GaugeOpts{Name: "v"}, []string{"a"})
		c.Inc()
		g.Set(1)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		j := journalOf(server)
		c.Inc()
		g.Set(2)
		v.WithLabelValues("new").Set(3)
		v.Reset()
		r.NewCounter(CounterOpts{Name: "late_total"}).Inc()
		elapse(5 * time.Minute)
		if n := j.count(""); n != 0 {
			t.Errorf("a closed registry asked the store %d times", n)
		}
		page := stored(t, server)
		page.want(t, samples{"c_total": 1})
		for _, prefix := range []string{"g{", "v{", "late_total"} {
			page.lacks(t, prefix)
		}
		if err := r.Flush(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush returns %v, want ErrClosed", err)
		}
		if _, err := r.Gather(); !errors.Is(err, ErrClosed) {
			t.Errorf("Gather returns %v, want ErrClosed", err)
		}
	})
}

// Whoever waits while the registry closes is either confirmed or told.
func TestClose_AnswersThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		synctest.Wait()
		journalOf(server).intervene(only(memstore.OpCommit, func(string) error {
			time.Sleep(time.Millisecond)
			return nil
		}))
		var mu sync.Mutex
		confirmed, refused := 0, 0
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				_, err := c.IncSync(t.Context())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					confirmed++
				case errors.Is(err, ErrClosed):
					refused++
				default:
					t.Error(err)
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		group.Wait()
		page := stored(t, server)
		if got := page["c_total"]; confirmed == 0 || refused == 0 || got < float64(confirmed) {
			t.Errorf("%d confirmed, %d refused, the store has %v", confirmed, refused, got)
		}
	})
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
		if !errors.As(err, &left) || !errors.As(err, &clash) || left.Series != 1 {
			t.Errorf("Close returns %v", err)
		}
		mentions(t, err, "x_total", "summary", "counter")
		stored(t, server).want(t, samples{"x_total": 1, "y_total": 1})
	})
}

// A bubble ends only when every goroutine in it has: this one holds everything
// that a registry starts.
// Its worth is with the race detector, which also knows the rules of WaitGroup.
func TestClose_AScrapeMayBeginAtTheSameTime(t *testing.T) {
	for range 100 {
		r := process(t, memstore.New(), Opts{ReadOnly: true})
		page := r.Handler(HandlerOpts{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 3 {
					page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
				}
			})
		}
		all.Go(func() { _ = r.Close(context.Background()) })
		all.Wait()
	}
}

func TestClose_LeavesNoGoroutine(t *testing.T) {
	for _, opts := range []Opts{{}, {ReadOnly: true}} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := New()
			r.NewGaugeFunc(GaugeOpts{Name: "g"}, func() float64 { return 1 })
			connectTo(t, server, r, opts)
			if _, err := r.Gather(); err != nil {
				t.Error(err)
			}
			elapse(time.Minute)
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUndeliveredError_CountsAndUnwraps(t *testing.T) {
	err := &UndeliveredError{Series: 3, Batches: 2, Err: context.DeadlineExceeded}
	if text := fmt.Sprint(err); !strings.Contains(text, "3 series") || !strings.Contains(text, "2 batches") {
		t.Error(text)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("does not unwrap")
	}
}

// A job that only flushes is taken for a living process until its lease ends, and
// hides that nothing else lives.
func TestClose_AJobIsGoneAtOnceAndAfterAFlushAloneItIsNot(t *testing.T) {
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
