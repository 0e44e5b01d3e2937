// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// journal records the operations that a server is asked for, and lets a test delay them or make them fail.
type journal struct {
	mu   sync.Mutex
	ops  []string              // guarded by mu
	at   []time.Time           // parallel to ops; guarded by mu
	fail func(op string) error // guarded by mu
}

func journalOf(server *memstore.Server) *journal {
	j := new(journal)
	server.Fail(func(op string) error {
		j.mu.Lock()
		j.ops = append(j.ops, op)
		j.at = append(j.at, time.Now())
		fail := j.fail
		j.mu.Unlock()
		if fail != nil {
			return fail(op)
		}
		return nil
	})
	return j
}

// intervene calls f before each operation from now on; its error is the answer. Nil ends that.
func (j *journal) intervene(f func(op string) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = f
}

func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ops, j.at = nil, nil
}

// times are when operations whose names begin with prefix were asked for.
func (j *journal) times(prefix string) []time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []time.Time
	for i, op := range j.ops {
		if strings.HasPrefix(op, prefix) {
			list = append(list, j.at[i])
		}
	}
	return list
}

func (j *journal) count(prefix string) int { return len(j.times(prefix)) }

// moments is at how many different times an operation was asked for, other than those given.
func (j *journal) moments(except ...string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []time.Time
	for i, op := range j.ops {
		if !slices.Contains(except, op) {
			list = append(list, j.at[i])
		}
	}
	return len(slices.CompactFunc(list, time.Time.Equal))
}

func gaps(times []time.Time) []time.Duration {
	var list []time.Duration
	for i := 1; i < len(times); i++ {
		list = append(list, times[i].Sub(times[i-1]))
	}
	return list
}

// mostlyWithin allows for shorter gaps where a refresh, twice a minute, brought
// a flush forward.
func mostlyWithin(t *testing.T, list []time.Duration, least, most time.Duration) {
	t.Helper()
	short := 0
	for _, gap := range list {
		if gap > most {
			t.Errorf("a gap of %v, want %v at most", gap, most)
		}
		if gap < least {
			short++
		}
	}
	if short > 3 {
		t.Errorf("%d gaps below %v: %v", short, least, list)
	}
}

func away(string) error { return errBroken }

// only makes a fault concern the operations that begin with prefix.
func only(prefix string, fault func(string) error) func(string) error {
	return func(op string) error {
		if strings.HasPrefix(op, prefix) {
			return fault(op)
		}
		return nil
	}
}

const commitC = memstore.OpCommit + " c_total"

func TestWriter_FlushesEverySecondGiveOrTakeATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		c := process(t, server, Opts{}).NewCounter(CounterOpts{Name: "c_total"})
		for range 6000 {
			c.Inc()
			time.Sleep(10 * time.Millisecond)
		}
		times := j.times(commitC)[1:] // the first comes at once
		if n := len(times); n < 50 || n > 67 {
			t.Errorf("%d flushes in a minute", n)
		}
		list := gaps(times)
		mostlyWithin(t, list, 900*time.Millisecond, 1100*time.Millisecond)
		slices.Sort(list)
		if n := len(slices.Compact(list)); n < len(list)/2 {
			t.Errorf("only %d different gaps: processes started together would stay in step", n)
		}
	})
}

func TestWriter_IdleSendsNothingButHeartbeatsAndRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Inc()
		elapse(5 * time.Second)
		j.forget()
		const minutes = 30
		for range minutes * 60 {
			c.Add(-1) // shoal's own metrics change, and cause no flush
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := j.count(memstore.OpHold); n < minutes*12*8/10 || n > minutes*12*12/10 {
			t.Errorf("%d heartbeats in %d minutes, want about 12 a minute", n, minutes)
		}
		if n := j.moments(memstore.OpLineage, memstore.OpHold, memstore.OpHousekeep, memstore.OpPrune); n < minutes*2*8/10 || n > minutes*2*12/10 {
			t.Errorf("other operations than heartbeats at %d times in %d minutes, want about 2 a minute", n, minutes)
		}
		if n := j.count(commitC); n != 0 {
			t.Errorf("%d commits of a counter that did not change", n)
		}
		if n := j.count(memstore.OpHousekeep); n < 1 || n > 4 {
			t.Errorf("housekeeping %d times in %d minutes", n, minutes)
		}
	})
}

func TestWriter_FlushesLessOftenWhereCommitsAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		j.intervene(only(commitC, func(string) error {
			time.Sleep(time.Second)
			return nil
		}))
		c := process(t, server, Opts{}).NewCounter(CounterOpts{Name: "c_total"})
		for range 600 {
			c.Inc()
			time.Sleep(100 * time.Millisecond)
		}
		mostlyWithin(t, gaps(j.times(commitC))[1:], 4*time.Second, 7*time.Second)
		elapse(10 * time.Second)
	})
}

func TestWriter_BacksOffWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		j.intervene(away)
		r := process(t, server, Opts{}) // it starts while the store is down
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		begin := time.Now()
		for range 6000 {
			c.Inc()
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("requests took %v longer", took-time.Minute)
		}
		times := j.times(memstore.OpHold)
		if n := len(times); n < 30 || n > 75 {
			t.Errorf("%d tries in a minute", n)
		}
		list := gaps(times)
		if list[0] > 200*time.Millisecond {
			t.Errorf("the first retry came after %v", list[0])
		}
		for _, gap := range list {
			if gap > maxBackoff {
				t.Errorf("a gap of %v", gap)
			}
		}
		slices.Sort(list)
		if n := len(slices.Compact(list)); n < 20 {
			t.Errorf("only %d different gaps: a fleet would come back in step", n)
		}
		j.intervene(nil)
		elapse(4 * time.Second)
		stored(t, server).want(t, samples{"c_total": 6000})
	})
}

func TestWriter_ANewOutageBeginsTheBackOffAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{LeaseDuration: time.Minute, RefreshPeriod: time.Hour})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(2 * time.Second)
		j.intervene(away)
		elapse(30 * time.Second) // the heartbeat fails, again and again
		j.intervene(nil)
		elapse(10 * time.Second)
		j.intervene(away)
		j.forget()
		c.Inc()
		elapse(5 * time.Second)
		tries := slices.CompactFunc(j.times(""), time.Time.Equal) // each ends with the first call that fails
		if list := gaps(tries); len(list) == 0 || list[0] > 2*minBackoff {
			t.Errorf("the retries came after %v", list)
		}
	})
}

func TestWriter_MemoryStaysBoundedWhileTheStoreIsAway(t *testing.T) {
	for _, fault := range []string{memstore.OpHold, memstore.OpCommit} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			j := journalOf(server)
			r := process(t, server, Opts{})
			v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
			elapse(time.Second)
			j.intervene(only(fault, away))
			for i := range 3600 {
				v.WithLabelValues(fmt.Sprint(i % 300)).Inc()
				time.Sleep(time.Second)
			}
			synctest.Wait()
			batches := 0
			for _, f := range *r.families.Load() {
				batches += len(f.out.queue) + len(f.out.kept)
				if len(f.waiters)+f.deletions.len() > 0 {
					t.Errorf("%s: %d waiters, %d deletions", f.def.name, len(f.waiters), f.deletions.len())
				}
			}
			r.conn.Load().writer.wakeUp() // orders these reads before the writer's next step, for the race detector
			synctest.Wait()
			if batches > 3+2*len(*r.families.Load()) {
				t.Errorf("%d batches of 300 series after an hour", batches)
			}
			j.intervene(nil)
			elapse(5 * time.Second)
			page := stored(t, server)
			sum := 0.0
			for _, n := range page {
				sum += n
			}
			if sum != 3600 {
				t.Errorf("the page adds up to %v, want 3600", sum)
			}
		})
	}
}

func TestWriter_LostReplyIsNotAppliedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		h := r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{1}})
		n := 0
		server.LoseReply(func(op string) error {
			if n++; strings.HasPrefix(op, memstore.OpCommit) && n%3 != 0 {
				return errBroken
			}
			return nil
		})
		for range 100 {
			c.Inc()
			h.Observe(0.5)
			time.Sleep(300 * time.Millisecond)
		}
		server.LoseReply(nil)
		flush(t, r)
		page := stored(t, server)
		page.want(t, samples{"c_total": 100})
		page.want(t, samples{"h_count": 100, "h_sum": 50, `h_bucket{le="1"}`: 100, `h_bucket{le="+Inf"}`: 100})
	})
}

func TestFlush_WaitsForWhatWasWrittenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{Interval: time.Hour})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		g := r.NewGauge(GaugeOpts{Name: "g", Mode: Sum})
		synctest.Wait()
		j.intervene(only(memstore.OpCommit, func(string) error { // a flush is under way when Flush is asked for
			time.Sleep(100 * time.Millisecond)
			return nil
		}))
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				c.Inc()
				g.Inc()
				if err := r.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(30 * time.Millisecond)
		}
		c.Inc()
		flush(t, r)
		stored(t, server).want(t, samples{"c_total": 21, "g": 20})
		group.Wait()
	})
}

func TestFlush_GivesUpWithItsContextAndTheValueStaysQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(time.Second)
		j.intervene(away)
		c.Inc()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		err := r.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush returns %v", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Flush took %v", took)
		}
		j.intervene(nil)
		flush(t, r) // it waits for the store to be tried again
		stored(t, server).want(t, samples{"c_total": 1})
	})
}

func TestFlush_TriesUntilTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		j.intervene(away)
		time.AfterFunc(10*time.Second, func() { j.intervene(nil) })
		begin := time.Now()
		flush(t, r)
		if took := time.Since(begin); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("Flush took %v", took)
		}
		stored(t, server).want(t, samples{"c_total": 1})
	})
}

// Where a heartbeat takes longer than the time between two, the next is always due.
func TestFlush_EndsWhereAHeartbeatTakesLongerThanTheTimeBetweenTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.Fail(func(op string) error {
			if op == memstore.OpLineage || op == memstore.OpHold {
				time.Sleep(200 * time.Millisecond) // INFO and hold over a long line
			}
			return nil
		})
		r := process(t, server, Opts{LeaseDuration: time.Second})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := r.Flush(ctx); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})
}

func TestConnect_KeepsWhatWasCountedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := New()
		c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
		s, g := r.NewSummary(SummaryOpts{Name: "s"}), r.NewGauge(GaugeOpts{Name: "g", Mode: Max})
		last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
		r.NewHistogram(HistogramOpts{Name: "silent", Buckets: []float64{1}})
		c.WithLabelValues("x").Add(2.5)
		c.WithLabelValues("y")
		s.Observe(4)
		g.Set(7)
		last.Set(8)
		if err := r.Flush(t.Context()); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Flush returns %v, want ErrNotConnected", err)
		}
		time.Sleep(time.Hour)
		connectTo(t, server, r, Opts{})
		flush(t, r)
		page := stored(t, server)
		page.want(t, samples{`c_total{a="x"}`: 2.5, `c_total{a="y"}`: 0, "s_sum": 4, "s_count": 1, "g": 7, "last": 8})
		page.want(t, samples{"silent_count": 0}) // shown before its first event
	})
}

func TestFlush_EveryKindOfTroubleIsReportedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		j.intervene(away)
		heard := new(troubles)
		r := process(t, server, Opts{OnError: heard.add})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		const minutes = 10
		for range minutes * 60 {
			c.Add(-1)
			time.Sleep(time.Second)
		}
		if n := heard.count(errBroken.Error()); n < minutes-1 || n > minutes+1 {
			t.Errorf("the store's absence was reported %d times in %d minutes", n, minutes)
		}
		if n := heard.count(reasonNegative); n < minutes-1 || n > minutes+1 {
			t.Errorf("the negative increments were reported %d times in %d minutes", n, minutes)
		}
		j.intervene(nil)
	})
}
