// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestHousekeeping_OneProcessDoesItForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		const processes, hours = 20, 2
		for range processes {
			process(t, server, Opts{Interval: time.Minute, LeaseDuration: 10 * time.Minute, RefreshPeriod: 50 * time.Second})
		}
		elapse(hours * time.Hour)
		if n := j.count(memstore.OpHousekeep); n < processes*hours*2 {
			t.Errorf("%d processes asked %d times in %d hours whose turn it is", processes, n, hours)
		}
		turns := j.times(memstore.OpPrune)
		if len(turns) < hours*3 {
			t.Errorf("housekeeping took place %d times in %d hours", len(turns), hours)
		}
		for _, gap := range gaps(turns) {
			if gap < housekeepTime {
				t.Errorf("housekeeping took place %v after the last", gap)
			}
		}
	})
}

func TestHousekeeping_ADeathInTheMiddleOfItOnlyDelaysIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		process(t, server, Opts{})
		process(t, server, Opts{})
		died := time.Time{}
		j.intervene(only(memstore.OpPrune, func(string) error {
			if died.IsZero() {
				died = time.Now()
				return errBroken
			}
			return nil
		}))
		elapse(2 * time.Hour)
		turns := j.times(memstore.OpPrune)
		if died.IsZero() || len(turns) < 2 {
			t.Fatalf("housekeeping took place %d times in two hours", len(turns))
		}
		if took := turns[1].Sub(turns[0]); took < housekeepTime || took > 3*housekeepTime {
			t.Errorf("the next turn was %v later", took)
		}
	})
}
