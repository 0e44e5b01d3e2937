// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestGauge_SetSyncFailsOnlyWhereTheValueFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: 1})
		v := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: Latest, Expire: time.Minute}, []string{"k"})
		if err := v.WithLabelValues("1").SetSync(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := v.WithLabelValues("2").SetSync(t.Context(), 2); !errors.Is(err, ErrRejected) {
			t.Errorf("beyond the cap: %v", err)
		}
		elapse(2 * time.Minute)
		if err := v.WithLabelValues("2").SetSync(t.Context(), 3); err != nil {
			t.Errorf("in the place of an expired value: %v", err)
		}
		stored(t, server).want(t, samples{`g{k="2"}`: 3})
	})
}
