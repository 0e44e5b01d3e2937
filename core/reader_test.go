// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// between has something happen once, when the store has just answered an operation.
func between(server *memstore.Server, op string, do func()) {
	server.LoseReply(func(done string) error {
		if done == op {
			server.LoseReply(nil)
			do()
		}
		return nil
	})
}

// A failover falls into a reading, and the server that was away comes back before
// the reading has ended: all series are scanned on another server than their
// registrations were read from.
func TestReader_WhatADiscardedReadingScannedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
		elapse(2 * time.Second)
		lagging := server.Snapshot()
		v.WithLabelValues("a").Add(7)
		elapse(2 * time.Second)
		whole := server.Snapshot()

		other := readOnly(t, server)
		between(server, memstore.OpReadFamilies, func() {
			server.Restore(lagging)
			between(server, memstore.OpScanSeries+" c_total", func() { server.Restore(whole) })
		})
		if rec := askPage(other, HandlerOpts{Timeout: 50 * time.Millisecond}); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("a reading of two histories was shown: %d %s", rec.Code, rec.Body)
		}
		elapse(DefLeaseDuration)
		scrape(t, other).want(t, samples{`c_total{n="a"}`: 7})
	})
}

// A deletion comes between a family's registration and the scan of its series, its
// process dies, and a replica that has not heard of it takes over.
func TestReader_AScanIsRememberedOnlyUnderAShapeThatIsTheSameBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r, deleter := process(t, server, Opts{}), process(t, server, Opts{})
		r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"}).WithLabelValues("a").Add(7)
		v := deleter.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
		elapse(2 * time.Second)
		before := server.Snapshot()

		other := readOnly(t, server)
		between(server, memstore.OpReadFamilies, func() {
			v.Reset()
			flush(t, deleter)
		})
		scrape(t, other).lacks(t, "c_total")
		kill(t, deleter)
		server.Restore(before)
		elapse(2 * DefLeaseDuration)
		scrape(t, other).want(t, samples{`c_total{n="a"}`: 7})
	})
}

// Everything goes between a reading's registrations and its values.
func TestReader_AReadingInWhichTheStoreIsEmptiedIsNotShown(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, hidden := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				server.HideLineage(hidden)
				r := process(t, server, Opts{})
				r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"}).WithLabelValues("a").Add(7)
				elapse(2 * time.Second)
				if !first {
					scrape(t, r)
				}
				between(server, memstore.OpReadGauges, server.Wipe)
				if after := onlyWhole(t, r, "\nc_total{"); after < 0 || after > DefLeaseDuration {
					t.Errorf("the first page was shown after %v", after)
				}
			})
		}
	}
}

// Where Redis does not tell its lineage, nobody sees that the reading was of two
// states.
func TestReader_WithoutALineageWhatIsMissingComesBackWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.HideLineage(true)
		r := process(t, server, Opts{})
		v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
		elapse(2 * time.Second)
		lagging := server.Snapshot()
		v.WithLabelValues("a").Add(7)
		elapse(2 * time.Second)
		whole := server.Snapshot()
		other := readOnly(t, server)
		between(server, memstore.OpReadFamilies, func() {
			server.Restore(lagging)
			between(server, memstore.OpScanSeries+" c_total", func() { server.Restore(whole) })
		})
		scrape(t, other)
		elapse(2 * DefLeaseDuration)
		scrape(t, other).want(t, samples{`c_total{n="a"}`: 7})
	})
}
