// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Where every request has new label values, the table is full again after each flush. If each
// flush marked its children, some such processes would keep Redis busy.
func TestMarks_AFloodOfLabelValuesCostsRedisFewMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, flushes = 2000, 30
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: limit})
		v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
		elapse(time.Second)
		var calls atomic.Int32
		server.Fail(func(op string) error {
			if op == memstore.OpMark+" c_total" {
				calls.Add(1)
			}
			return nil
		})
		n := 0
		for range flushes {
			for range 2 * limit {
				n++
				v.WithLabelValues(fmt.Sprint(n)).Inc()
			}
			elapse(DefInterval)
		}
		const whole = 2 * limit / 250 // calls that mark a full table
		made := int(calls.Load())
		if most := (flushes*int(DefInterval/crowdedPause)/(2*limit) + 2) * whole; made == 0 || made > most {
			t.Errorf("%d calls marked the table within %d flushes, want %d at most, and some", made, flushes, most)
		}
		elapse(time.Minute)
		sum := 0.0
		for _, got := range stored(t, server) {
			sum += got
		}
		if sum != float64(n) {
			t.Errorf("the page has %v of %d events", sum, n)
		}
	})
}
