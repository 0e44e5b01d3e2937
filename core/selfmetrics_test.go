// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
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

// registered are the families that Redis has, without those of the application.
func registered(t *testing.T, server *memstore.Server) (own []string) {
	t.Helper()
	app, err := server.Store("shop").ReadApp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range app.Families {
		if strings.HasPrefix(name, wire.SelfPrefix) {
			own = append(own, name)
		}
	}
	return own
}

func TestSelfMetrics_ThatCountedNothingAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(time.Hour)
		if list := registered(t, server); !slices.Equal(list, []string{"shoal_flush_duration_seconds"}) {
			t.Errorf("a process without trouble and scrapes told Redis of %q", list)
		}
		j := journalOf(server)
		r.NewCounter(CounterOpts{Name: "d_total"}).Add(-1)
		flush(t, r)
		if j.count(commitRejected) != 1 {
			t.Errorf("what was counted was not sent: %v", j.ops)
		}
		elapse(31 * time.Second)
		if list := registered(t, server); !slices.Equal(list, []string{"shoal_flush_duration_seconds", "shoal_rejected_observations_total"}) {
			t.Errorf("told Redis of %q", list)
		}
	})
}

// Whichever process answers, and a registry that only reads as well: all pages show the zeros
// before the first event, so that increase() sees it.
func TestSelfMetrics_TheFirstEventRisesFromZeroOnEveryPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		exporter := readOnly(t, server)
		pages := map[string]*Registry{"an exporter": exporter}
		see := func(when string, wanted map[string]float64) {
			t.Helper()
			for who, r := range pages {
				list, err := r.Gather()
				if err != nil {
					t.Fatal(err)
				}
				page := gathered(t, list)
				for name, want := range wanted {
					if got, ok := page[name]; !ok || got != want {
						t.Errorf("%s, the page of %s has %s %v (%v), want %v", when, who, name, got, ok, want)
					}
				}
			}
		}
		const lost, negative = `shoal_lost_batches_total{reason="wiped"}`, `shoal_rejected_observations_total{reason="negative"}`
		zeros := map[string]float64{
			lost: 0, negative: 0, "shoal_flush_failures_total": 0, "shoal_scrape_failures_total": 0, `shoal_removed_series_total{reason="idle"}`: 0,
		}
		see("before any process", zeros)
		one, two := process(t, server, Opts{}), process(t, server, Opts{})
		pages["one"], pages["two"] = one, two
		c := one.NewCounter(CounterOpts{Name: "c_total"})
		c.Inc()
		elapse(time.Minute)
		zeros[`shoal_pending_batches{gauge_index="0"}`], zeros[`shoal_pending_age_seconds{gauge_index="1"}`] = 0, 0
		see("before the first event", zeros)
		c.Add(-1)
		server.Wipe()
		elapse(time.Minute)
		see("after it", map[string]float64{
			lost: 1, negative: 1, `shoal_lost_batches_total{reason="rollback"}`: 0, `shoal_rejected_observations_total{reason="nan"}`: 0,
		})
	})
}

// Older versions registered all of shoal's own metrics, and sent their zeros.
func TestSelfMetrics_RegisteredByAnOlderVersionGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		const family = "shoal_lost_batches_total"
		register(t, server, family, 1, wire.Definition{Type: wire.TypeCounter, Help: "As before."})
		state, err := server.Store("shop").ReadFamilies(t.Context(), []string{family})
		if err != nil {
			t.Fatal(err)
		}
		reply := server.Store("shop").Commit(t.Context(), []wire.Commit{{
			Family: family, Generation: state[0].Generation, Writer: "w", Seq: 1,
			Ops: []wire.Op{{Kind: wire.OpAdd, Field: "reason\xffwiped", Value: "5"}, {Kind: wire.OpAdd, Field: "reason\xffexpired", Value: "0"}},
		}})[0]
		if reply.Status != wire.CommitOK {
			t.Fatalf("%+v", reply)
		}
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(time.Minute)
		r.self.lost.WithLabelValues(lostWiped).Add(2)
		elapse(time.Minute)
		list, err := readOnly(t, server).Gather()
		if err != nil {
			t.Fatal(err)
		}
		gathered(t, list).want(t, samples{
			family + `{reason="wiped"}`: 7, family + `{reason="expired"}`: 0,
			family + `{reason="orphan"}`: 0, family + `{reason="rollback"}`: 0,
		})
	})
}

// Nobody hears of a taken name for longer than it is taken, though there is nothing to send.
func TestSelfMetrics_ATakenNameIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Add(-1)
		flush(t, r)
		server.Wipe()
		register(t, server, "shoal_rejected_observations_total", 1, wire.Definition{Type: wire.TypeGauge})
		elapse(DefRefreshPeriod)
		if err := r.Flush(t.Context()); err == nil {
			t.Fatal("the name is not taken")
		}
		server.Wipe()
		elapse(2 * reportEvery)
		flush(t, r)
	})
}
