// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

const (
	commitFlushes  = memstore.OpCommit + " shoal_flush_duration_seconds"
	commitRejected = memstore.OpCommit + " shoal_rejected_observations_total"
)

// busy changes a counter for so long, so often that each flush has it.
func busy(c *Counter, long time.Duration) {
	for range long / (100 * time.Millisecond) {
		c.Inc()
		time.Sleep(100 * time.Millisecond)
	}
}

func TestSelfMetrics_OfABusyProcessGoWithSomeFlushesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewGaugeFunc(GaugeOpts{Name: "still"}, func() float64 { return 7 })
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(2 * time.Second)
		j := journalOf(server)
		const minutes = 10
		busy(c, minutes*time.Minute)
		if n := j.count(commitC); n < minutes*50 {
			t.Errorf("%d flushes in %d minutes", n, minutes)
		}
		if n := j.count(commitFlushes); n < minutes*5 || n > minutes*9 {
			t.Errorf("shoal's own metrics were sent %d times in %d minutes, want about every 10 s", n, minutes)
		}
		if n := j.count(memstore.OpWriteGauges); n > minutes*3 {
			t.Errorf("gauges that stay the same were sent %d times in %d minutes, want with the refresh", n, minutes)
		}
	})
}

func TestSelfMetrics_GoWithWhatSomebodyWaitsFor(t *testing.T) {
	for name, wait := range map[string]func(t testing.TB, r *Registry){
		"Flush":    flush,
		"a scrape": func(t testing.TB, r *Registry) { scrape(t, r) },
		"Close": func(t testing.TB, r *Registry) {
			if err := r.Close(context.Background()); err != nil {
				t.Error(err)
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			c := r.NewCounter(CounterOpts{Name: "c_total"})
			busy(c, 5*time.Second)
			j := journalOf(server)
			c.Add(-1)
			wait(t, r)
			if j.count(commitFlushes) == 0 || j.count(commitRejected) == 0 {
				t.Errorf("%s left shoal's own metrics behind: %v", name, j.ops)
			}
		})
	}
}

func TestSelfMetrics_GoWithTheFlushAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		c := process(t, server, Opts{}).NewCounter(CounterOpts{Name: "c_total"})
		busy(c, 5*time.Second)
		j := journalOf(server)
		j.intervene(only(memstore.OpCommit, away))
		busy(c, 2*time.Second)
		j.forget()
		j.intervene(nil)
		busy(c, 3*time.Second)
		if j.count(memstore.OpCommit+" shoal_flush_failures_total") == 0 {
			t.Errorf("the failures were not sent: %v", j.ops)
		}
	})
}

func TestGaugeFunc_IsSentWhenItsValueChangesAndWithTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		var value atomic.Int64
		value.Store(1)
		r.NewGaugeFunc(GaugeOpts{Name: "g", Mode: Sum}, func() float64 { return float64(value.Load()) })
		elapse(6 * time.Second)
		stored(t, server).want(t, samples{"g": 1})
		value.Store(2)
		elapse(6*time.Second + time.Second)
		stored(t, server).want(t, samples{"g": 2})
		elapse(time.Hour) // its Expire is a minute
		stored(t, server).want(t, samples{"g": 2})
	})
}

func TestSelfMetrics_OfDurationsAloneKeepNoScrapeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		busy(c, 5*time.Second)
		scrape(t, r)
		j := journalOf(server)
		scrape(t, r)
		if n := j.count(commitFlushes) + j.count(memstore.OpWriteGauges); n != 0 {
			t.Errorf("a scrape of a process that is at rest wrote: %v", j.ops)
		}
		c.Inc()
		scrape(t, r)
		if j.count(commitC) != 1 || j.count(commitFlushes) != 1 {
			t.Errorf("a scrape left something behind: %v", j.ops)
		}
		scrape(t, r)
		j.forget()
		elapse(31 * time.Second)
		if j.count(commitFlushes) == 0 {
			t.Errorf("flush durations are not sent with the refresh: %v", j.ops)
		}
	})
}
