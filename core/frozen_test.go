// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A serverless process that was frozen for longer than its lease loses it, rechecks all its
// families, and is frozen again as soon as its Flush has returned. No page waits for it.
func TestFlush_LeavesNoLeaseThatHoldsPagesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		page := process(t, server, Opts{})
		reg := process(t, server, Opts{})
		reg.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(2 * time.Second)
		server.LoseLeases("shop")
		page.conn.Load().writer.renewal.Store(true)
		flush(t, page)
		elapse(100 * time.Millisecond)
		reg.conn.Load().writer.renewal.Store(true)
		var holds atomic.Int32
		var frozen atomic.Bool
		server.Fail(func(op string) error {
			if op == "hold" && holds.Add(1) > 1 {
				time.Sleep(10 * time.Millisecond) // Flush must have waited for it
			}
			if frozen.Load() {
				return errBroken
			}
			return nil
		})
		flush(t, reg)
		frozen.Store(true)
		elapse(time.Second)
		kill(t, reg)
		server.Fail(nil)
		if rec := askPage(page, HandlerOpts{Timeout: 500 * time.Millisecond}); rec.Code != 200 {
			t.Errorf("a frozen process holds the page back: %s", rec.Body)
		}
	})
}
