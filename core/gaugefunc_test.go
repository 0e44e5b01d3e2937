// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestGaugeFunc_IsAskedThreeTimesInALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := New()
		var calls atomic.Int64
		first := r.NewGaugeFunc(GaugeOpts{Name: "g"}, func() float64 { return float64(calls.Add(1)) })
		second := r.NewGaugeFunc(GaugeOpts{Name: "g"}, func() float64 { return -1 })
		if first != second {
			t.Error("a second declaration took the first one's place")
		}
		elapse(time.Minute)
		if calls.Load() != 0 {
			t.Error("asked before Connect")
		}
		connectTo(t, server, r, Opts{})
		elapse(time.Minute + 2*time.Second) // the flush after the last one included
		if n := calls.Load(); n != 13 {
			t.Errorf("asked %d times in a minute, want 13", n)
		}
		stored(t, server).want(t, samples{perIndex(0): 13})
	})
}

func TestGaugeFunc_APanicIsContainedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := New()
		heard := new(troubles)
		n := 0
		r.NewGaugeFunc(GaugeOpts{Name: "g"}, func() float64 {
			if n++; n > 1 {
				panic("out of order")
			}
			return 5
		})
		other := 0.0
		r.NewGaugeFunc(GaugeOpts{Name: "other", Mode: Sum}, func() float64 { other++; return other })
		connectTo(t, server, r, Opts{OnError: heard.add})
		elapse(59 * time.Second)
		page := stored(t, server)
		page.want(t, samples{perIndex(0): 5}) // the last value stays
		page.want(t, samples{"other": 12})
		if heard.count("out of order") != 1 || heard.count(`"g"`) != 1 {
			t.Errorf("heard %v", heard.all())
		}
	})
}

func TestGaugeFunc_AHangDelaysNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := New()
		release := make(chan struct{})
		r.NewGaugeFunc(GaugeOpts{Name: "hangs"}, func() float64 { <-release; return 1 })
		connectTo(t, server, r, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		gaugeIn(r).Set(2)
		for range 60 {
			c.Inc()
			time.Sleep(time.Second)
		}
		begin := time.Now()
		flush(t, r)
		stored(t, server).want(t, samples{"c_total": 60, perIndex(0): 2})
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a flush and Close took %v beside a function that hangs", took)
		}
		close(release)
	})
}
