// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Redis was emptied and answers reads alone: no process has a lease that could
// say what is missing.
func TestUnconfirmed_TheReportNamesThisProcessWhereItsLeaseIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var heard troubles
		reg := process(t, server, Opts{OnError: heard.add})
		reg.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(2 * time.Second)
		scrape(t, reg)
		server.Wipe()
		server.Fail(func(op string) error {
			if strings.HasPrefix(op, "read") || op == "lineage" {
				return nil
			}
			return errBroken
		})
		for begin := time.Now(); time.Since(begin) < 2*DefLeaseDuration+time.Second; {
			askPage(reg, HandlerOpts{Timeout: time.Second})
			elapse(time.Second)
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		for _, err := range heard.list {
			if strings.Contains(err.Error(), "although it may lack something: this process has not brought back") {
				return
			}
		}
		t.Errorf("heard %q", heard.list)
	})
}
