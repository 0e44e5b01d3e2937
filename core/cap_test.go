// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"strconv"
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
		flush(t, r)
		families, err := r.Gather()
		if n := gathered(t, families)[`shoal_rejected_observations_total{reason="`+reasonBeyondCap+`"}`]; n != 2 || err != nil {
			t.Errorf("%v values that were set beyond the cap are counted, want 2 (%v)", n, err)
		}
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

// What is made before Connect does not know the cap yet: it may be larger than the usual one.
func TestCap_BeginsWithConnect(t *testing.T) {
	const many = DefSeriesLimit + 500
	for name, test := range map[string]struct {
		limit    int
		reported int
	}{"a larger cap": {2 * many, 0}, "a smaller cap": {many - 100, 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, r, heard := memstore.New(), New(), new(troubles)
				c := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
				g := r.NewGaugeVec(GaugeOpts{Name: "g", Mode: Sum}, []string{"k"})
				var last *Counter
				for i := range many {
					last = c.WithLabelValues(strconv.Itoa(i))
					last.Inc()
					g.WithLabelValues(strconv.Itoa(i)).Set(1)
				}
				connectTo(t, server, r, Opts{SeriesLimit: test.limit, OnError: heard.add})
				if n := heard.count("when the registry was connected, and its cap is"); n != test.reported {
					t.Errorf("%d metrics are reported, want %d: %v", n, test.reported, heard.all())
				}
				elapse(30 * time.Second)
				page, beyond := stored(t, server), max(0, many-test.limit)
				sum, own := 0.0, 0
				for name, v := range page {
					if strings.HasPrefix(name, "c_total{") {
						sum += v
						own++
					}
				}
				overflow := page[`c_total{k="shoal_overflow"}`]
				if sum != many || overflow != float64(beyond) || beyond == 0 && own != many {
					t.Errorf("%d series add up to %v, %v in the overflow series; want %d, %d", own, sum, overflow, many, beyond)
				}
				if test.reported == 0 && len(heard.all()) > 0 {
					t.Errorf("reported: %v", heard.all())
				}
				last.Inc() // the handle goes on
				elapse(2 * time.Second)
				if beyond == 0 {
					if got := stored(t, server)[`c_total{k="`+strconv.Itoa(many-1)+`"}`]; got != 2 {
						t.Errorf("the last child is at %v, want 2", got)
					}
				}
			})
		})
	}
}

// A store goes through a large family in slices, some with each flush run.
func TestCap_ManyExpiredLatestValuesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 40
		server := memstore.New()
		r := process(t, server, Opts{SeriesLimit: limit})
		jobs := r.NewGaugeVec(GaugeOpts{Name: "last_success", Mode: Latest, Expire: time.Minute}, []string{"job"})
		flush(t, r)
		for i := range limit {
			jobs.WithLabelValues(fmt.Sprint("old", i)).Set(1)
		}
		flush(t, r)
		elapse(2 * time.Minute)
		b := process(t, server, Opts{SeriesLimit: limit})
		jobs = b.NewGaugeVec(GaugeOpts{Name: "last_success", Mode: Latest, Expire: time.Minute}, []string{"job"})
		for i := range limit {
			jobs.WithLabelValues(fmt.Sprint("new", i)).Set(2)
		}
		flush(t, b)
		want := samples{}
		for i := range limit {
			want[fmt.Sprintf(`last_success{job="new%d"}`, i)] = 2
		}
		stored(t, server).want(t, want)
	})
}
