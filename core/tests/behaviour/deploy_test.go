// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Two versions of an application run at the same time during a deploy. The page shows what the
// younger process declares, and what the older one counts still counts.

func TestDeploy_OtherBucketsKeepEveryCountAndAscend(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old, reader := f.process(t), f.reader(t)
	o := old.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Old.", Buckets: []float64{1, 2, 5, 10}})
	for _, v := range []float64{0.5, 1.5, 1.6, 4, 9, 100} {
		o.Observe(v)
	}
	flush(t, old)
	// The younger process starts now; the older is in this test's process.
	young := f.spawn(t, func(c *childConfig) {
		c.Help, c.Buckets = "Young.", []float64{0.1, 2, 7.5, 20}
	})
	young.Tell("flush")
	p := testkit.Scrape(t, reader)
	// A stored bound counts in the smallest shown bound at or above it.
	p.Want(t, `took_seconds_bucket{le="0.1"}`, "0", `took_seconds_bucket{le="2"}`, "3",
		`took_seconds_bucket{le="7.5"}`, "4", `took_seconds_bucket{le="20"}`, "5",
		`took_seconds_bucket{le="+Inf"}`, "6", "took_seconds_count", "6", "took_seconds_sum", "116.6")
	if !strings.Contains(p.Text, "# HELP took_seconds Young.\n") || len(p.Of("took_seconds")) != 7 {
		t.Errorf("the page is not the young one's:\n%s", p.Users())
	}
	// Both go on counting, and nothing falls.
	o.Observe(0.5)
	young.Tell("observe 0.05")
	flush(t, old)
	p = testkit.Scrape(t, reader)
	p.Want(t, `took_seconds_bucket{le="0.1"}`, "1", `took_seconds_bucket{le="2"}`, "5",
		`took_seconds_bucket{le="7.5"}`, "6", `took_seconds_bucket{le="20"}`, "7",
		`took_seconds_bucket{le="+Inf"}`, "8", "took_seconds_count", "8")
	// The refreshes of the older process never bring its definition back.
	for end := time.Now().Add(5 * f.quick().RefreshPeriod); time.Now().Before(end); {
		if p := testkit.Scrape(t, reader); !strings.Contains(p.Text, "# HELP took_seconds Young.\n") {
			t.Fatalf("the older definition is back:\n%s", p.Users())
		}
	}
}
