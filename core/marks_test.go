// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestGaugeVec_ExpiredValuesMakeRoomForFreshOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		reg := process(t, server, Opts{SeriesLimit: 2})
		v := reg.NewGaugeVec(GaugeOpts{Name: "state", Mode: Latest, Expire: 10 * time.Second}, []string{"k"})
		v.WithLabelValues("a").Set(1)
		v.WithLabelValues("b").Set(2)
		flush(t, reg)
		time.Sleep(11 * time.Second)
		v.WithLabelValues("c").Set(3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		removals := 0
		server.Fail(func(op string) error {
			if op == memstore.OpPrune {
				removals++
			}
			if removals > 100 {
				return errBroken // else a mistake would make this test endless
			}
			return nil
		})
		if err := reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, server)[`state{k="c"}`]; got != 3 {
			t.Errorf("c is %v, want 3", got)
		}
		if removals != 1 {
			t.Errorf("expired values were removed %d times, want once", removals)
		}
	})
}
