// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestCap_ExpiredValuesOfALatestGaugeMakeRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: 2})
		v := r.NewGaugeVec(GaugeOpts{Name: "last", Mode: Latest, Expire: time.Minute}, []string{"k"})
		v.WithLabelValues("1").Set(1)
		v.WithLabelValues("2").Set(2)
		elapse(50 * time.Second)
		v.WithLabelValues("2").Set(20)
		elapse(11 * time.Second) // 1 has expired
		v.WithLabelValues("3").Set(3)
		flush(t, r)
		stored(t, server).want(t, samples{`last{k="2"}`: 20, `last{k="3"}`: 3})
		if err := v.WithLabelValues("4").SetSync(t.Context(), 4); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), reasonBeyondCap) {
			t.Errorf("a value beyond the cap: %v", err)
		}
		flush(t, r)
		stored(t, server).want(t, samples{`last{k="2"}`: 20, `last{k="3"}`: 3})
		elapse(DefRefreshPeriod + DefExpire)
		flush(t, r)
		v.WithLabelValues("5").Set(5)
		flush(t, r)
		if got := stored(t, server)[`last{k="5"}`]; got != 5 {
			t.Errorf("the new value is %v", got)
		}
	})
}

func TestCap_GaugesBeyondItAddUpAndDropWhatIsSet(t *testing.T) {
	for _, mode := range []Mode{PerProcess, Sum, Max} {
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: 1})
		v := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: mode}, []string{"k"})
		v.WithLabelValues("1").Set(1)
		beyond := v.WithLabelValues("2")
		beyond.Add(2)
		v.WithLabelValues("3").Inc()
		v.WithLabelValues("4").Sub(0.5)
		beyond.Set(100)
		if err := beyond.SetSync(t.Context(), 100); !errors.Is(err, ErrRejected) {
			t.Errorf("SetSync beyond the cap: %v", err)
		}
		if n := selfValue(r, "shoal_rejected_observations_total", reasonBeyondCap); n != 2 {
			t.Errorf("%v values that were set beyond the cap are counted, want 2", n)
		}
		flush(t, r)
		index := ""
		if mode == PerProcess {
			index = `gauge_index="0",`
		}
		stored(t, server).want(t, samples{`g{` + index + `k="1"}`: 1, `g{` + index + `k="shoal_overflow"}`: 2.5})
	}
}

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
