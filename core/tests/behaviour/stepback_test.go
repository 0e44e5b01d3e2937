// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// ascending follows counters over many scrapes.
type ascending map[string]float64

// check returns an error if one of them fell, or vanished.
func (a ascending) check(p page) error {
	for _, series := range []string{"jobs_total", "took_seconds_count", "took_seconds_sum", `took_seconds_bucket{le="20"}`} {
		v, ok := p.value(series)
		if old, known := a[series]; known && (!ok || v < old) {
			return fmt.Errorf("%s went from %v to %v", series, old, v)
		}
		if ok {
			a[series] = v
		}
	}
	return nil
}

// The promise that counters never step back: not when processes are killed in
// the middle of their work, one after the other. Their sequence numbers, their
// leases and their gauges may go; what they counted stays.
func TestCountersNeverStepBack_WhenProcessesAreKilled(t *testing.T) {
	f := newFleet(t)
	reader := f.reader(t)
	seen := ascending{}
	for range 4 {
		c := f.spawn(t, func(c *childConfig) { c.Lease = 200 * time.Millisecond })
		c.tell("load")
		from := seen["jobs_total"]
		eventuallyPage(t, reader, func(p page) error {
			if err := seen.check(p); err != nil {
				t.Fatal(err)
			}
			if seen["jobs_total"] < from+200 {
				return fmt.Errorf("only %v", seen["jobs_total"])
			}
			return nil
		})
		c.kill()
		for {
			p := scrape(t, reader)
			if err := seen.check(p); err != nil {
				t.Fatal(err)
			}
			if p.has("shoal_instances", "0") == nil {
				break // its lease is over too
			}
		}
	}
}

// A killed process loses what it had not flushed, and nothing else.
func TestCountersNeverStepBack_AKilledProcessLosesAtMostOneInterval(t *testing.T) {
	f := newFleet(t)
	c := f.spawn(t, func(c *childConfig) { c.Every = time.Hour })
	if total := c.tell("sync 5"); total != "5" {
		t.Errorf("sync gives %s", total)
	}
	c.tell("inc 3")
	c.tell("flush")
	c.tell("inc 100") // in its memory only
	c.kill()
	scrape(t, f.reader(t)).want(t, "jobs_total", "8")
}

// A rolling deploy: new processes come, old ones close.
func TestCountersNeverStepBack_OnADeploy(t *testing.T) {
	f := newFleet(t)
	reader := f.reader(t)
	seen := ascending{}
	total := 0
	for range 4 {
		reg := f.process(t)
		l := startLoad(t, reg)
		from := seen["jobs_total"]
		eventuallyPage(t, reader, func(p page) error {
			if err := seen.check(p); err != nil {
				t.Fatal(err)
			}
			if seen["jobs_total"] < from+50 {
				return fmt.Errorf("only %v", seen["jobs_total"])
			}
			return nil
		})
		total += l.end()
		closeAll(t, reg)
		p := scrape(t, reader)
		if err := seen.check(p); err != nil {
			t.Fatal(err)
		}
		if err := p.shows(total); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}

// An old handle of a process that was closed counts nowhere, and breaks nothing.
func TestCountersNeverStepBack_WhatDiedDoesNotComeBack(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth"})
	c.Add(3)
	g.Set(3)
	closeAll(t, reg)
	before := dump(t, f.redis)
	c.Add(4)
	g.Set(4)
	reg.NewCounter(shoal.CounterOpts{Name: "late_total"}).Inc()
	if _, err := c.IncSync(within(t)); err == nil {
		t.Error("IncSync after Close gives no error")
	}
	if err := g.SetSync(within(t), 5); err == nil {
		t.Error("SetSync after Close gives no error")
	}
	if err := reg.Flush(within(t)); err == nil {
		t.Error("Flush after Close gives no error")
	}
	passes(t, f.redis, 100*time.Millisecond) // ten intervals
	after := dump(t, f.redis)
	for key := range before {
		if !f.owns(key) {
			delete(before, key)
		}
	}
	for key := range after {
		if !f.owns(key) {
			delete(after, key)
		}
	}
	sameDump(t, before, after)
	scrape(t, f.reader(t)).want(t, "jobs_total", "3")
}
