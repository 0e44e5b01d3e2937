// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A label changes with each of 30 deploys. The series of old versions leave, after their last process
// has ended and the retention has passed; those that a living process holds stay, used or not.
func TestDeploys_TheSeriesOfOldVersionsLeaveAndThoseOfLivingOnesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deploys, replicas, between = 30, 3, 20 * time.Minute
		server := memstore.New()
		var living [replicas]*Registry
		versions := [replicas]int{}
		requests, ended := map[int]float64{}, map[int]time.Time{}
		serve := func(replica int) {
			requests[versions[replica]]++
			living[replica].NewCounterVec(CounterOpts{Name: "requests_total"}, []string{"version"}).
				WithLabelValues(fmt.Sprint(versions[replica])).Inc()
		}
		check := func() {
			t.Helper()
			page := stored(t, server)
			for v := 1; v <= versions[0]; v++ {
				got, there := page[fmt.Sprintf(`requests_total{version="%d"}`, v)]
				_, idle := page[fmt.Sprintf(`errors_total{kind="none",version="%d"}`, v)]
				end := ended[v]
				switch since := time.Since(end); {
				case end.IsZero() || since < calm.Retention:
					if !there || !idle || got != requests[v] {
						t.Errorf("after %d deploys, version %d, ended %v ago, has %v requests (%v), want %v", versions[0], v, since, got, there, requests[v])
					}
				// Each of nine epochs ends by a refresh. A turn is up to 10 minutes too early for
				// the next process that asks, which asks again 22 minutes later.
				case since > calm.Retention*9/8+9*calm.RefreshPeriod+4*housekeepTime:
					if there || idle {
						t.Errorf("after %d deploys, version %d, ended %v ago, is still there", versions[0], v, since)
					}
				}
			}
			if n := len(page); n > 2*(2+6) {
				t.Errorf("after %d deploys the page has %d series", versions[0], n)
			}
		}
		for deploy := 1; deploy <= deploys; deploy++ {
			for replica := range replicas { // one after the other
				if old := living[replica]; old != nil {
					if err := old.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				living[replica], versions[replica] = process(t, server, calm), deploy
				living[replica].NewCounterVec(CounterOpts{Name: "errors_total"}, []string{"version", "kind"}).
					WithLabelValues(fmt.Sprint(deploy), "none") // never used
				serve(replica)
				elapse(time.Minute)
			}
			ended[deploy-1] = time.Now().Add(-time.Minute)
			for range 4 {
				elapse(between / 4)
				serve(deploy % replicas)
				elapse(2 * calm.Interval)
				check()
			}
		}
		elapse(24 * time.Hour)
		check()
	})
}
