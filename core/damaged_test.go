// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A key that is not shoal's lies where a family's data belongs, so every flush fails. When
// Redis then loses the leases, no page waits longer than it does without that key.
func TestDamaged_AFamilyThatIsRefusedForEverHoldsNoPageBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		reg, other := process(t, server, Opts{}), process(t, server, Opts{})
		reg.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(2 * time.Second)
		server.Fail(func(op string) error {
			if strings.HasSuffix(op, " c_total") {
				return memstore.RefusedError("WRONGTYPE Operation against a key holding the wrong kind of value")
			}
			return nil
		})
		server.LoseControl("shop", "c_total")
		elapse(time.Minute)
		server.LoseLeases("shop")
		for _, r := range []*Registry{reg, other} {
			begin := time.Now()
			rec := askPage(r, HandlerOpts{Timeout: time.Minute})
			if took := time.Since(begin); rec.Code != 200 || took > DefLeaseDuration/3 {
				t.Errorf("the page answered %d after %v: %s", rec.Code, took, rec.Body)
			}
		}
	})
}
