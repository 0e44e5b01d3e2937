// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestStore_WipedShowsZerosAnewAndCountsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
		h := r.NewHistogram(HistogramOpts{Name: "h", Buckets: []float64{1}})
		c.WithLabelValues("x").Add(5)
		h.Observe(0.5)
		elapse(2 * time.Second)
		server.Wipe()
		elapse(DefRefreshPeriod * 12 / 10)
		page := stored(t, server)
		page.want(t, samples{`c_total{a="x"}`: 0})
		page.want(t, samples{"h_count": 0})
		c.WithLabelValues("x").Inc()
		flush(t, r)
		stored(t, server).want(t, samples{`c_total{a="x"}`: 1})
	})
}

func TestStore_SteppedBackIsBroughtForwardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(5)
		elapse(2 * time.Second)
		old := server.Snapshot()
		c.Add(7)
		elapse(2 * time.Second)
		server.Restore(old)                // a failover to a replica that lagged
		elapse(DefLeaseDuration * 12 / 10) // an idle writer notices with its next heartbeat
		stored(t, server).want(t, samples{"c_total": 12})
	})
}

func TestStore_OneLostKeyOfAFamilyIsMended(t *testing.T) {
	for name, lose := range map[string]func(*memstore.Server){
		"the sequence numbers": func(s *memstore.Server) { s.LoseControl("shop", "c_total") },
		"the values":           func(s *memstore.Server) { s.LoseValues("shop", "c_total") },
	} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			c := r.NewCounter(CounterOpts{Name: "c_total"})
			c.Add(5)
			elapse(2 * time.Second)
			lose(server)
			c.Add(2)
			flush(t, r)
			want := 7.0
			if name == "the values" {
				want = 2
			}
			stored(t, server).want(t, samples{"c_total": want})
		})
	}
}

func TestStore_UnreadableTextIsReplacedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		heard := new(troubles)
		r := process(t, server, Opts{OnError: heard.add})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(5)
		elapse(2 * time.Second)
		server.SetText("shop", "c_total", "", "junk")
		c.Add(2)
		flush(t, r)
		stored(t, server).want(t, samples{"c_total": 2})
		if heard.count("c_total") != 1 || heard.count("replaced") != 1 {
			t.Errorf("heard %v", heard.all())
		}
	})
}

func TestStore_BeyondTheFleetsLimitOneSeriesTakesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		heard := new(troubles)
		a := process(t, server, Opts{SeriesLimit: 2})
		b := process(t, server, Opts{SeriesLimit: 2, OnError: heard.add})
		declare := func(r *Registry) *CounterVec { return r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"}) }
		declare(a).WithLabelValues("1").Inc()
		declare(a).WithLabelValues("2").Inc()
		flush(t, a)
		declare(b).WithLabelValues("1").Add(7)
		if total, err := declare(b).WithLabelValues("3").AddSync(t.Context(), 5); err != nil || total != 5 {
			t.Errorf("AddSync returns %v, %v; want the overflow series' 5", total, err)
		}
		declare(b).WithLabelValues("4").Add(8) // beyond b's own limit
		flush(t, b)
		stored(t, server).want(t, samples{
			`c_total{a="1"}`: 8, `c_total{a="2"}`: 1, `c_total{a="shoal_overflow"}`: 13,
		})
		if heard.count("SeriesLimit") != 1 {
			t.Errorf("heard %v", heard.all())
		}
	})
}

func TestApps_NeverSeeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		shop, shop2 := process(t, server, Opts{App: "shop"}), process(t, server, Opts{App: "shop2"})
		declare := func(r *Registry) *CounterVec { return r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"}) }
		declare(shop).WithLabelValues("x").Add(1)
		declare(shop2).WithLabelValues("x").Add(2)
		gaugeIn(shop).Set(3)
		gaugeIn(shop2).Set(4)
		flush(t, shop)
		flush(t, shop2)
		storedIn(t, server, "shop").want(t, samples{`c_total{a="x"}`: 1, perIndex(0): 3})
		storedIn(t, server, "shop2").want(t, samples{`c_total{a="x"}`: 2, perIndex(0): 4})
		declare(shop).Reset()
		flush(t, shop)
		storedIn(t, server, "shop2").want(t, samples{`c_total{a="x"}`: 2})
		if n := len(storedIn(t, server, "sho")); n != 0 {
			t.Errorf("an app that nobody uses has %d series", n)
		}
	})
}

func TestClash_TheFirstRegisteredIsShownAndTheOtherReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		heard := new(troubles)
		a, b := process(t, server, Opts{}), process(t, server, Opts{OnError: heard.add})
		a.NewCounter(CounterOpts{Name: "x"}).Add(3)
		flush(t, a)
		b.NewHistogram(HistogramOpts{Name: "x"}).Observe(1)
		b.NewCounter(CounterOpts{Name: "y_total"}).Inc()
		err := b.Flush(t.Context())
		var clash *TypeClashError
		if !errors.As(err, &clash) || clash.Name != "x" || clash.Existing != "counter" || clash.Requested != "histogram" {
			t.Errorf("Flush returns %v", err)
		}
		elapse(5 * time.Minute)
		for _, r := range []*Registry{a, b} {
			page := scrape(t, r)
			page.want(t, samples{"x": 3, "y_total": 1})
			page.lacks(t, "x_")
		}
		if n := heard.count("rename"); n < 4 || n > 7 {
			t.Errorf("the clash was reported %d times in 5 minutes", n)
		}
	})
}

// A deploy that changes a type: what the new version counts waits until the old
// one's keys are deleted, and then arrives once, from every process.
func TestClash_WhatWasWithheldArrivesWhenTheNameIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		old := process(t, server, Opts{})
		old.NewSummary(SummaryOpts{Name: "x"}).Observe(1)
		flush(t, old)
		opts := HistogramOpts{Name: "x", Buckets: []float64{5}}
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		ha, hb := a.NewHistogram(opts), b.NewHistogram(opts)
		ha.Observe(1)
		elapse(3 * time.Minute)
		ha.Observe(10)
		hb.Observe(2)
		if err := old.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		stored(t, server).want(t, samples{"x_sum": 1, "x_count": 1})
		server.LoseControl("shop", "x")
		server.LoseValues("shop", "x")
		elapse(reportEvery + DefRefreshPeriod)
		stored(t, server).want(t, samples{"x_sum": 13, "x_count": 3, `x_bucket{le="5"}`: 2, `x_bucket{le="+Inf"}`: 3})
	})
}

// The store is wiped, and another type registers our family's name first. What had been
// acknowledged is not sent again when the name is free.
func TestClash_AfterAWipeDoublesNothing(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	c := r.NewCounter(CounterOpts{Name: "x_total"})
	flush := func() {
		t.Helper()
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	c.Add(5)
	flush()
	server.Wipe()
	register(t, server, "x_total", 1, wire.Definition{Type: wire.TypeHistogram})
	c.Add(2)
	w.refreshWhole()
	flush()
	if c.consts.fam.out.refused == nil {
		t.Fatal("the clash went unnoticed")
	}
	server.Wipe()
	c.consts.fam.out.retryAt = time.Time{}
	w.refreshWhole()
	flush()
	if got := storedText(t, server, "x_total"); got != "2" {
		t.Errorf("the store has %s, want the 2 that it never had", got)
	}
}

func TestDelete_OfAPartialMatchWaitsWhereTheStoreCannotBeAsked(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	v := orders(r)
	three(v)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	server.Fail(only(memstore.OpScanSeries, away))
	v.DeleteLabelValues("USD", "book")
	v.DeletePartialMatch(Labels{"kind": "book"})
	v.WithLabelValues("EUR", "book").Add(10) // may not overtake the deletion
	for range 3 {
		if err := w.flushAll(); err == nil {
			t.Fatal("nobody noticed that the store could not be asked")
		}
	}
	server.Fail(nil)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	stored(t, server).want(t, samples{eurBook: 10, eurCD: 2})
}
