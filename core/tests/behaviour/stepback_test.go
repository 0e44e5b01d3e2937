// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Counters never step back, also when processes are killed one after the other while they count.
// Their sequence numbers, leases and gauges are removed some time; what they counted stays.
func TestCountersNeverStepBack_WhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reader := f.reader(t)
	seen := testkit.Rising{}
	for range 4 {
		c := f.spawn(t, func(c *childConfig) { c.Lease = 200 * time.Millisecond })
		c.Tell("load")
		from := seen["jobs_total"]
		testkit.EventuallyPage(t, reader, func(p testkit.Page) error {
			testkit.Must(t, seen.Check(p))
			if seen["jobs_total"] < from+200 {
				return fmt.Errorf("only %v", seen["jobs_total"])
			}
			return nil
		})
		c.Kill()
		for {
			p := testkit.Scrape(t, reader)
			testkit.Must(t, seen.Check(p))
			if p.Has("shoal_instances", "0") == nil {
				break // its lease has expired too
			}
		}
	}
}

// A killed process loses what it had not flushed, and nothing else.
func TestCountersNeverStepBack_AKilledProcessLosesAtMostOneInterval(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := f.spawn(t, func(c *childConfig) { c.Every, c.Refresh = time.Hour, 50*time.Second }) // sends nothing by itself
	if total := c.Tell("sync 5"); total != "5" {
		t.Errorf("sync gives %s", total)
	}
	c.Tell("inc 3")
	c.Tell("flush")
	c.Tell("inc 100") // in its memory only
	c.Kill()
	testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "8")
}

// A rolling deploy: new processes come, old ones close.
func TestCountersNeverStepBack_OnADeploy(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reader := f.reader(t)
	seen := testkit.Rising{}
	total := 0
	for range 4 {
		reg := f.process(t)
		l := startLoad(t, reg)
		from := seen["jobs_total"]
		testkit.EventuallyPage(t, reader, func(p testkit.Page) error {
			testkit.Must(t, seen.Check(p))
			if seen["jobs_total"] < from+50 {
				return fmt.Errorf("only %v", seen["jobs_total"])
			}
			return nil
		})
		total += l.End()
		closeAll(t, reg)
		p := testkit.Scrape(t, reader)
		testkit.Must(t, seen.Check(p))
		if err := p.ShowsLoad(total); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}
