// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// both runs a benchmark of a hot path, from one goroutine and from one for each core.
func both(b *testing.B, f func()) {
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				f()
			}
		})
	})
}

func BenchmarkCounterInc(b *testing.B) {
	both(b, New().NewCounter(CounterOpts{Name: "c_total"}).Inc)
}

func BenchmarkCounterAddFraction(b *testing.B) {
	c := New().NewCounter(CounterOpts{Name: "c_total"})
	both(b, func() { c.Add(0.5) })
}

func BenchmarkGaugeSet(b *testing.B) {
	g := New().NewGauge(GaugeOpts{Name: "g"})
	both(b, func() { g.Set(1.5) })
}

func BenchmarkHistogramObserve(b *testing.B) {
	h := New().NewHistogram(HistogramOpts{Name: "h"})
	both(b, func() { h.Observe(0.3) })
}

func BenchmarkWithLabelValuesInc(b *testing.B) {
	v := New().NewCounterVec(CounterOpts{Name: "c_total"}, []string{"method", "route", "code"})
	both(b, func() { v.WithLabelValues("GET", "/users/{id}", "200").Inc() })
}

func BenchmarkCurriedWithLabelValuesInc(b *testing.B) {
	v := New().NewCounterVec(CounterOpts{Name: "c_total"}, []string{"method", "route", "code"})
	gets := v.MustCurryWith(Labels{"method": "GET"})
	both(b, func() { gets.WithLabelValues("/users/{id}", "200").Inc() })
}

// tenThousand is a registry of 10,000 counters whose writer has no goroutine (see stepped).
func tenThousand(b *testing.B) (*memstore.Server, *writer, []*Counter) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a", "b"})
	list := make([]*Counter, 10_000)
	for i := range list {
		list[i] = v.WithLabelValues(fmt.Sprint(i%100), fmt.Sprint(i/100))
	}
	if err := w.flushAll(); err != nil {
		b.Fatal(err)
	}
	return server, w, list
}

func BenchmarkFlushTenThousandCounters(b *testing.B) {
	_, w, list := tenThousand(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range list {
			c.Inc()
		}
		if err := w.flushAll(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPageOfTenThousandSeries(b *testing.B) {
	server, _, _ := tenThousand(b)
	r := readOnly(b, server)
	h := r.Handler(HandlerOpts{})
	b.ReportAllocs()
	for b.Loop() {
		if n := len(get(b, h, nil)); n < 200_000 {
			b.Fatalf("%d bytes", n)
		}
	}
}
