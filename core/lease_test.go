// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func gaugeIn(r *Registry) *Gauge { return r.NewGauge(GaugeOpts{Name: "g"}) }

func perIndex(index int) string { return fmt.Sprintf(`g{gauge_index="%d"}`, index) }

func TestGauge_OfAKilledProcessVanishesWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		gaugeIn(r).Set(1)
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(2)
		elapse(10 * time.Minute)
		stored(t, server).want(t, samples{perIndex(0): 1, "c_total": 2})
		kill(t, r)
		elapse(DefLeaseDuration - DefLeaseDuration/2) // the last renewal was up to 5.5 s ago
		stored(t, server).want(t, samples{perIndex(0): 1})
		elapse(DefLeaseDuration / 2)
		page := stored(t, server)
		page.lacks(t, "g{")
		page.want(t, samples{"c_total": 2})
	})
}

func TestGauge_OfAKilledProcessVanishesWithItsOwnExpiryIfThatIsShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{RefreshPeriod: time.Second, LeaseDuration: time.Hour})
		r.NewGauge(GaugeOpts{Name: "g", Expire: 3 * time.Second}).Set(1)
		elapse(time.Minute)
		stored(t, server).want(t, samples{perIndex(0): 1})
		kill(t, r)
		elapse(3 * time.Second)
		stored(t, server).lacks(t, "g{")
	})
}

func TestGauge_LivesBeyondItsExpiryWhileItIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		g := gaugeIn(process(t, server, Opts{}))
		g.Set(math.Pi)
		for range 20 {
			elapse(DefExpire / 2)
			stored(t, server).want(t, samples{perIndex(0): math.Pi})
		}
		// A store that takes no gauges stops the refreshing, not the lease.
		j.intervene(only(memstore.OpWriteGauges, func(string) error { return refusal }))
		elapse(DefExpire + time.Second)
		stored(t, server).lacks(t, "g{")
		j.intervene(nil)
		elapse(3 * time.Second)
		stored(t, server).want(t, samples{perIndex(0): math.Pi})
	})
}

func TestGauge_LostInTheStoreComesBackByItself(t *testing.T) {
	losses := map[string]func(*memstore.Server, *memstore.Snapshot){
		"wiped":        func(s *memstore.Server, _ *memstore.Snapshot) { s.Wipe() },
		"stepped back": func(s *memstore.Server, old *memstore.Snapshot) { s.Restore(old) },
	}
	for name, lose := range losses {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			elapse(time.Second)
			old := server.Snapshot()
			g := gaugeIn(r)
			last := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
			g.Set(3)
			last.Set(4)
			elapse(2 * time.Second)
			lose(server, old)
			elapse(DefRefreshPeriod * 12 / 10)
			page := stored(t, server)
			page.want(t, samples{perIndex(0): 3})
			if name == "wiped" {
				page.want(t, samples{"last": 4})
			}
			g.Inc()
			flush(t, r)
			stored(t, server).want(t, samples{perIndex(0): 4})
		})
	}
}

func TestGauge_AWriteFindsThatTheStoreLostTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		v := r.NewGaugeVec(GaugeOpts{Name: "g"}, []string{"room"})
		for i := range 600 { // several writes
			v.WithLabelValues(fmt.Sprint(i)).Set(float64(i))
		}
		flush(t, r)
		if n := len(stored(t, server)); n != 600 {
			t.Fatalf("%d gauges", n)
		}
		server.Wipe()
		v.WithLabelValues("7").Set(70)
		flush(t, r)
		page := stored(t, server)
		if n := len(page); n != 600 {
			t.Errorf("%d gauges after one was written, want all 600", n)
		}
		if got := page[`g{gauge_index="0",room="7"}`]; got != 70 {
			t.Errorf("the written one is %v", got)
		}
	})
}

func TestLease_TheLowestFreeIndexIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var list []*Registry
		start := func(value float64) *Registry {
			r := process(t, server, Opts{})
			gaugeIn(r).Set(value)
			flush(t, r)
			return r
		}
		for i := range 4 {
			list = append(list, start(float64(i)))
		}
		stored(t, server).want(t, samples{perIndex(0): 0, perIndex(1): 1, perIndex(2): 2, perIndex(3): 3})
		if err := list[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		kill(t, list[2])
		start(10)
		stored(t, server).want(t, samples{perIndex(0): 0, perIndex(1): 10, perIndex(2): 2, perIndex(3): 3})
		elapse(DefLeaseDuration)
		start(11)
		stored(t, server).want(t, samples{perIndex(0): 0, perIndex(1): 10, perIndex(2): 11, perIndex(3): 3})
	})
}

func TestLease_LostIsTakenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a := New()
		gaugeIn(a).Set(1)
		connectTo(t, server, a, Opts{})
		flush(t, a)
		// a is cut off, its lease runs out, and b takes the index.
		server.Fail(away)
		elapse(DefLeaseDuration + time.Second)
		server.Fail(nil)
		if _, err := server.Store("shop").Housekeep(t.Context(), 0, 0); err != nil {
			t.Fatal(err)
		}
		other, err := server.Store("shop").Hold(t.Context(), wire.HoldRequest{
			Writer: "b", Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: time.Hour,
		})
		if err != nil || other.Index != 0 {
			t.Fatalf("b holds %+v, %v", other, err)
		}
		gaugeIn(a).Set(2)
		flush(t, a)
		stored(t, server).want(t, samples{perIndex(1): 2})
	})
}

func TestLease_AProcessWhoseIndexWasTakenGetsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		index := 0
		a := process(t, server, Opts{})
		gaugeIn(a).Set(1)
		flush(t, a)
		b := process(t, server, Opts{Index: &index})
		gaugeIn(b).Set(2)
		flush(t, b)
		stored(t, server).want(t, samples{perIndex(0): 2}) // at once
		elapse(DefLeaseDuration)
		for range 20 {
			stored(t, server).want(t, samples{perIndex(0): 2, perIndex(1): 1})
			elapse(7 * time.Second)
		}
	})
}

// The process that came first does not take the index back.
func TestLease_OfTwoThatAskForOneIndexTheLastKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		index := 3
		a := process(t, server, Opts{Index: &index})
		gaugeIn(a).Set(1)
		flush(t, a)
		stored(t, server).want(t, samples{perIndex(3): 1})
		b := process(t, server, Opts{Index: &index})
		gaugeIn(b).Set(2)
		flush(t, b)
		elapse(DefLeaseDuration)
		for range 20 {
			stored(t, server).want(t, samples{perIndex(3): 2, perIndex(0): 1})
			elapse(7 * time.Second)
		}
	})
}

func TestLease_ARefusedRenewalIsReportedAndStopsNoCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		heard := new(troubles)
		journalOf(server).intervene(only(memstore.OpHold, func(string) error { return refusal }))
		r := process(t, server, Opts{OnError: heard.add})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		gaugeIn(r).Set(1)
		c.Inc()
		elapse(3 * time.Second)
		page := stored(t, server)
		page.want(t, samples{"c_total": 1})
		page.lacks(t, "g{")
		if heard.count("lease") == 0 {
			t.Errorf("OnError hears %v", heard.all())
		}
		server.Fail(nil)
		elapse(10 * time.Second)
		stored(t, server).want(t, samples{perIndex(0): 1})
	})
}

func TestLatest_IsOrderedByTheStoresTimeAndSurvivesItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.Advance(-time.Hour) // the store's clock differs from ours
		declare := func(r *Registry) *Gauge { return r.NewGauge(GaugeOpts{Name: "last", Mode: Latest}) }
		a, b := process(t, server, Opts{Interval: time.Hour}), process(t, server, Opts{})
		synctest.Wait()
		declare(a).Set(1) // set first, and stored last
		time.Sleep(time.Second)
		declare(b).Set(2)
		flush(t, b)
		flush(t, a)
		stored(t, server).want(t, samples{"last": 2})
		kill(t, a)
		kill(t, b)
		elapse(24 * time.Hour)
		stored(t, server).want(t, samples{"last": 2})
	})
}

func TestLatest_ExpiresWhereExpireIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		g := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest, Expire: 10 * time.Minute})
		g.Set(1)
		elapse(9 * time.Minute)
		stored(t, server).want(t, samples{"last": 1})
		elapse(time.Minute)
		stored(t, server).lacks(t, "last")
		g.Set(2)
		flush(t, r)
		stored(t, server).want(t, samples{"last": 2})
	})
}

func TestGauge_NeverExpiresBetweenTwoRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{RefreshPeriod: 30 * time.Second})
		r.NewGauge(GaugeOpts{Name: "g", Expire: 31 * time.Second}).Set(1)
		flush(t, r) // the first flush may have been before the gauge was set
		for range 10 * 60 {
			elapse(time.Second + time.Millisecond)
			stored(t, server).want(t, samples{perIndex(0): 1})
		}
	})
}

func TestGauge_ARefreshMissedWhileTheStoreIsAwayIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{RefreshPeriod: 30 * time.Second})
		r.NewGauge(GaugeOpts{Name: "g", Expire: 31 * time.Second}).Set(1)
		elapse(20 * time.Second)
		server.Fail(away)
		elapse(15 * time.Second) // the refresh falls due meanwhile
		server.Fail(nil)
		elapse(maxBackoff + time.Second)
		stored(t, server).want(t, samples{perIndex(0): 1})
	})
}

func TestLease_IsRenewedInTimeHoweverOftenGaugesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		g := gaugeIn(process(t, server, Opts{}))
		for range 10 {
			server.Wipe()
			g.Set(1)
			elapse(1200 * time.Millisecond)
		}
		for range 30 {
			elapse(time.Second)
			stored(t, server).want(t, samples{perIndex(0): 1})
		}
	})
}

func TestLease_AFleetStartedAtOnceDoesNotRefreshInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		const processes = 20
		for range processes {
			process(t, server, Opts{})
		}
		elapse(45 * time.Second) // each has had its first refresh, and has registered its own metrics
		j, begin := journalOf(server), time.Now()
		elapse(30 * time.Second)
		seconds := map[time.Duration]int{}
		for _, at := range j.times(memstore.OpTouch) {
			seconds[at.Sub(begin).Truncate(3*time.Second)]++
		}
		for _, n := range seconds {
			if n > processes/2 {
				t.Errorf("%d of %d processes refresh within 3 s", n, processes)
			}
		}
		if len(seconds) < 5 {
			t.Errorf("they refresh in %d of 10 parts of the period", len(seconds))
		}
	})
}
