// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func orders(r *Registry) *CounterVec {
	return r.NewCounterVec(CounterOpts{Name: "orders_total", ConstLabels: Labels{"shop": "de"}}, []string{"currency", "kind"})
}

const (
	eurBook = `orders_total{currency="EUR",kind="book",shop="de"}`
	eurCD   = `orders_total{currency="EUR",kind="cd",shop="de"}`
	usdBook = `orders_total{currency="USD",kind="book",shop="de"}`
)

// three makes the three series above with 1, 2 and 3.
func three(v *CounterVec) {
	v.WithLabelValues("EUR", "book").Add(1)
	v.WithLabelValues("EUR", "cd").Add(2)
	v.WithLabelValues("USD", "book").Add(3)
}

// A second metric of the name, with another constant label, keeps its series throughout.
func TestDelete_IsForAllProcesses(t *testing.T) {
	type deletion = func(v *CounterVec) any
	by := func(labels Labels) deletion { return func(v *CounterVec) any { return v.Delete(labels) } }
	byValues := func(values ...string) deletion {
		return func(v *CounterVec) any { return v.DeleteLabelValues(values...) }
	}
	byMatch := func(labels Labels) deletion { return func(v *CounterVec) any { return v.DeletePartialMatch(labels) } }
	all := samples{eurBook: 1, eurCD: 2, usdBook: 3}
	for name, test := range map[string]struct {
		do   deletion
		held any // what the call returns in the process that has the children
		left samples
	}{
		"Delete":                              {by(Labels{"currency": "EUR", "kind": "book"}), true, samples{eurCD: 2, usdBook: 3}},
		"Delete, too few":                     {by(Labels{"currency": "EUR"}), false, all},
		"Delete, constant label given":        {by(Labels{"currency": "EUR", "kind": "book", "shop": "de"}), false, all},
		"values":                              {byValues("USD", "book"), true, samples{eurBook: 1, eurCD: 2}},
		"values, too few":                     {byValues("EUR"), false, all},
		"values, too many":                    {byValues("EUR", "book", "de"), false, all},
		"match":                               {byMatch(Labels{"currency": "EUR"}), 2, samples{usdBook: 3}},
		"match, constant label":               {byMatch(Labels{"shop": "de"}), 3, samples{}},
		"match, another's constant":           {byMatch(Labels{"shop": "at"}), 0, all},
		"match, nil":                          {byMatch(nil), 3, samples{}},
		"match, no labels":                    {byMatch(Labels{}), 3, samples{}},
		"match, unknown label":                {byMatch(Labels{"x": "1"}), 0, all},
		"match, unknown label, empty":         {byMatch(Labels{"x": ""}), 0, all},
		"match, unknown label beside a known": {byMatch(Labels{"x": "", "currency": "EUR"}), 0, all},
		"match, reserved label":               {byMatch(Labels{"gauge_index": ""}), 0, all},
		"match, no label name":                {byMatch(Labels{"": ""}), 0, all},
		"match, empty value that none has":    {byMatch(Labels{"kind": ""}), 0, all},
		"match, empty value of the constant":  {byMatch(Labels{"shop": ""}), 0, all},
		"Reset":                               {func(v *CounterVec) any { v.Reset(); return nil }, nil, samples{}},
	} {
		for _, who := range []string{"the holder, nothing sent", "the holder", "another process"} {
			t.Run(name+" by "+who, func(t *testing.T) {
				server := memstore.New()
				a, b := process(t, server, Opts{}), process(t, server, Opts{})
				three(orders(a))
				austrian := CounterOpts{Name: "orders_total", ConstLabels: Labels{"shop": "at"}}
				a.NewCounterVec(austrian, []string{"currency", "kind"}).WithLabelValues("EUR", "book").Add(4)
				if who != "the holder, nothing sent" {
					flush(t, a)
				}
				deleter := a
				if who == "another process" {
					deleter = b
				}
				held := test.do(orders(deleter))
				if deleter == a && held != test.held {
					t.Errorf("returned %v, want %v", held, test.held)
				}
				flush(t, deleter)
				left := maps.Clone(test.left)
				left[`orders_total{currency="EUR",kind="book",shop="at"}`] = 4
				stored(t, server).want(t, left)
			})
		}
	}
}

func TestDelete_AnEmptyValueMatchesSeriesWithoutTheLabel(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	v := orders(r)
	three(v)
	v.WithLabelValues("EUR", "").Add(4)
	flush(t, r)
	if n := v.DeletePartialMatch(Labels{"kind": ""}); n != 1 {
		t.Errorf("%d children, want 1", n)
	}
	flush(t, r)
	stored(t, server).want(t, samples{eurBook: 1, eurCD: 2, usdBook: 3})
}

// Redis may hold series of another version of the program, with labels that this
// declaration lacks. They are matched by the labels that they have.
func TestDelete_MatchesTheLabelsOfAnotherVersion(t *testing.T) {
	server := memstore.New()
	before, after := process(t, server, Opts{}), process(t, server, Opts{})
	old := before.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"shard"})
	old.WithLabelValues("1").Inc()
	old.WithLabelValues("2").Inc()
	flush(t, before)
	v := after.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"code"})
	v.WithLabelValues("200").Inc()
	v.DeletePartialMatch(Labels{"shard": "1"})
	flush(t, after)
	stored(t, server).want(t, samples{`c_total{shard="2"}`: 1, `c_total{code="200"}`: 1})
}

func TestDelete_OldHandlesCountOnFromZero(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	v := orders(r)
	old := v.WithLabelValues("EUR", "book")
	old.Add(5)
	flush(t, r)
	old.Add(7) // not sent yet: deleted with the rest
	v.Delete(Labels{"currency": "EUR", "kind": "book"})
	old.Inc()
	v.WithLabelValues("EUR", "book").Add(2)
	flush(t, r)
	stored(t, server).want(t, samples{eurBook: 3})
}

func TestDelete_AnotherProcessCountsOnFromZero(t *testing.T) {
	server := memstore.New()
	a, b := process(t, server, Opts{}), process(t, server, Opts{})
	c := orders(a).WithLabelValues("EUR", "book")
	c.Add(5)
	flush(t, a)
	orders(b).Reset()
	flush(t, b)
	c.Inc()
	flush(t, a)
	stored(t, server).want(t, samples{eurBook: 1})
}

func TestDelete_FindsTheChildOfARepairedLabelValue(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	v := r.NewCounterVec(CounterOpts{Name: "c"}, []string{"a", "b"})
	v.WithLabelValues("\xe9", "1").Inc()
	v.WithLabelValues("x", "y").Inc()
	flush(t, r)
	if !v.DeleteLabelValues("\xe9", "1") {
		t.Error("the child of the same values was not found")
	}
	v.DeleteLabelValues("x\xffb\xffy", "") // must not be read as a="x",b="y"
	flush(t, r)
	stored(t, server).want(t, samples{`c{a="x",b="y"}`: 1})
}

func TestDelete_OfAGaugeIsOfThisProcessOnly(t *testing.T) {
	server := memstore.New()
	zero, one := 0, 1
	a, b := process(t, server, Opts{Index: &zero}), process(t, server, Opts{Index: &one})
	declare := func(r *Registry) *GaugeVec { return r.NewGaugeVec(GaugeOpts{Name: "g"}, []string{"room"}) }
	declare(a).WithLabelValues("1").Set(1)
	declare(a).WithLabelValues("2").Set(2)
	flush(t, a)
	declare(b).WithLabelValues("1").Set(10)
	flush(t, b)
	if declare(a).DeletePartialMatch(Labels{"room": "1"}) != 1 {
		t.Error("the gauge was not found")
	}
	flush(t, a)
	stored(t, server).want(t, samples{`g{gauge_index="0",room="2"}`: 2, `g{gauge_index="1",room="1"}`: 10})
	declare(b).Reset()
	declare(a).DeleteLabelValues("2")
	flush(t, a)
	flush(t, b)
	stored(t, server).lacks(t, "g{")
}

func TestDelete_AGaugeMadeAnewAtOnceIsShown(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	v := r.NewGaugeVec(GaugeOpts{Name: "g"}, []string{"room"})
	old := v.WithLabelValues("1")
	old.Set(1)
	flush(t, r)
	v.DeleteLabelValues("1")
	v.WithLabelValues("1").Set(2)
	flush(t, r)
	stored(t, server).want(t, samples{`g{gauge_index="0",room="1"}`: 2})

	v.DeleteLabelValues("1")
	flush(t, r)
	old.Inc() // through a handle from before both deletions
	flush(t, r)
	stored(t, server).want(t, samples{`g{gauge_index="0",room="1"}`: 2}) // what it held, and 1
}

// What was counted and not sent is dropped, and the page does not even show a 0.
func TestDelete_OfWhatWasNotSentYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour})
		synctest.Wait()
		three(orders(r))
		orders(r).DeleteLabelValues("EUR", "book")
		flush(t, r)
		stored(t, server).want(t, samples{eurCD: 2, usdBook: 3})
		three(orders(r))
		orders(r).Reset()
		flush(t, r)
		stored(t, server).lacks(t, "orders_total")
	})
}

func TestDelete_OfALatestGaugeIsForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		declare := func(r *Registry) *GaugeVec {
			return r.NewGaugeVec(GaugeOpts{Name: "g", Mode: Latest}, []string{"job"})
		}
		declare(a).WithLabelValues("nightly").Set(1)
		flush(t, a)
		stored(t, server).want(t, samples{`g{job="nightly"}`: 1})
		declare(b).DeleteLabelValues("nightly")
		flush(t, b)
		stored(t, server).lacks(t, "g{")
		elapse(2 * DefRefreshPeriod)
		stored(t, server).lacks(t, "g{") // nor does a refresh bring it back
	})
}

func TestDelete_AskedForWhileTheStoreIsAwayHappensLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		v := orders(r)
		three(v)
		flush(t, r)
		server.Fail(away)
		v.WithLabelValues("EUR", "cd").Add(100) // maybe frozen before the deletion
		elapse(5 * time.Second)
		v.DeletePartialMatch(Labels{"currency": "EUR"})
		v.WithLabelValues("EUR", "book").Add(10)
		elapse(5 * time.Second)
		server.Fail(nil)
		elapse(10 * time.Second)
		stored(t, server).want(t, samples{eurBook: 10, usdBook: 3})
	})
}

// Redis does a part of such a Reset with each call. Flush waits for all of it.
func TestReset_ThatComesLateSparesWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		hits := func(r *Registry) *CounterVec {
			return r.NewCounterVec(CounterOpts{Name: "hits_total"}, []string{"page"})
		}
		hits(a).WithLabelValues("a").Add(3)
		hits(a).WithLabelValues("b").Add(3)
		flush(t, a)
		server.Fail(away)
		hits(a).Reset()
		elapse(20 * time.Second)
		hits(b).WithLabelValues("new").Add(5)
		elapse(2 * time.Second)
		hits(a).WithLabelValues("a").Add(4)
		server.Fail(nil)
		flush(t, a)
		stored(t, server).lacks(t, `hits_total{page="b"`)
		flush(t, b)
		stored(t, server).want(t, samples{`hits_total{page="a"}`: 4, `hits_total{page="new"}`: 5})
	})
}

func TestDelete_ItsRetryErasesNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		three(orders(a))
		flush(t, a)
		server.LoseReply(only(memstore.OpCommit+" orders_total", away))
		orders(a).Reset() // applied, and nobody hears of it
		elapse(10 * time.Second)
		server.LoseReply(nil)
		orders(b).WithLabelValues("USD", "book").Add(4)
		flush(t, b)
		flush(t, a)
		stored(t, server).want(t, samples{usdBook: 4})
	})
}

// A freeze has taken the deletions and asks the store which series there are. Meanwhile
// the application deletes again, and then writes.
func TestDelete_WhatIsWrittenAfterItIsNeverDeleted(t *testing.T) {
	deletions := map[string]func(v *CounterVec){
		"Delete":             func(v *CounterVec) { v.DeleteLabelValues("EUR", "book") },
		"DeletePartialMatch": func(v *CounterVec) { v.DeletePartialMatch(Labels{"kind": "book"}) },
		"Reset":              func(v *CounterVec) { v.Reset() },
	}
	for name, remove := range deletions {
		t.Run(name, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			v := orders(r)
			three(v)
			flush(t, r)
			old := v.WithLabelValues("EUR", "book")
			old.Inc()
			scanning, goOn := make(chan bool), make(chan bool)
			var once sync.Once
			server.Fail(only(memstore.OpScan, func(string) error {
				once.Do(func() {
					scanning <- true
					<-goOn
				})
				return nil
			}))
			v.DeletePartialMatch(Labels{"currency": "USD"})
			flushed := make(chan error)
			go func() { flushed <- r.Flush(context.Background()) }()
			<-scanning
			remove(v)
			old.Inc()
			v.WithLabelValues("EUR", "book").Add(5)
			goOn <- true
			if err := <-flushed; err != nil {
				t.Fatal(err)
			}
			flush(t, r)
			want := samples{eurBook: 6, eurCD: 2}
			if name == "Reset" {
				delete(want, eurCD)
			}
			stored(t, server).want(t, want)
		})
	}
}

func TestDelete_ManyPartialMatchesCostOneScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		r := process(t, server, Opts{})
		gaugeIn(r).Set(1)
		v := orders(r)
		three(v)
		flush(t, r)
		j.intervene(only(memstore.OpScan, func(string) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		}))
		v.DeletePartialMatch(Labels{"currency": "EUR"})
		for i := range 500 {
			v.DeletePartialMatch(Labels{"kind": strconv.Itoa(i)})
		}
		elapse(20 * time.Second) // with one scan for each, the lease would end meanwhile
		stored(t, server).want(t, samples{usdBook: 3, perIndex(0): 1})
	})
}
