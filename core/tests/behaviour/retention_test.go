// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Housekeeping removes a family that no living process declares, after the retention. A family that
// a process declares stays, however long nothing is written to it. A process does the housekeeping
// about every ten minutes; the test does it itself.
func TestRetention_EndsWhatNobodyDeclares(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	brief := func(o *shoal.Opts) { o.Retention = time.Second }
	gone, stays, reader := f.process(t, brief), f.process(t, brief), f.reader(t)
	gone.NewCounter(shoal.CounterOpts{Name: "old_total"}).Add(3)
	gone.NewHistogram(shoal.HistogramOpts{Name: "old_seconds"}).Observe(1)
	gone.NewGauge(shoal.GaugeOpts{Name: "old_success", Mode: shoal.Latest}).Set(1)
	both := shoal.CounterOpts{Name: "shared_total"}
	gone.NewCounter(both).Add(4)
	stays.NewCounter(both)
	kept := stays.NewCounter(shoal.CounterOpts{Name: "kept_total"})
	kept.Add(5)
	flush(t, gone, stays)
	closeAll(t, gone)

	store := wire.NewRedis(f.redis, f.app)
	housekeep := func(retention time.Duration) {
		_, err := store.Housekeep(t.Context(), retention, 0)
		testkit.Must(t, err)
	}
	housekeep(time.Hour)
	testkit.Scrape(t, reader).Want(t, "old_total", "3", "old_seconds_count", "1", "shared_total", "4", "kept_total", "5")

	testkit.Eventually(t, func() error {
		// Far longer than the refresh period, so that declared families stay.
		housekeep(2 * time.Second)
		p := testkit.Scrape(t, reader)
		p.Want(t, "shared_total", "4", "kept_total", "5")
		if t.Failed() {
			t.FailNow()
		}
		return p.Lacks("old_")
	})
	for _, key := range f.redis.Keys(t.Context(), "shoal:1:{"+f.app+"/old_*").Val() {
		t.Errorf("the key %s is left", key)
	}
	// If a process declares it again it begins from zero, and the others are unchanged.
	again := f.process(t)
	again.NewCounter(shoal.CounterOpts{Name: "old_total"}).Inc()
	flush(t, again)
	kept.Inc()
	flush(t, stays)
	if err := errors.Join(testkit.Scrape(t, reader).Has("old_total", "1"), testkit.Scrape(t, reader).Has("kept_total", "6")); err != nil {
		t.Error(fmt.Errorf("afterwards: %w", err))
	}
}
