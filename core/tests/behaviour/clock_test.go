// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// A server's clock can't be set here. What it wrote before it was set back is
// written by hand: times that are still to come.

// now is the server's time.
func (f *fleet) now(t testing.TB) time.Time {
	t.Helper()
	now, err := f.redis.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// set overwrites a field of one of the app's keys.
func (f *fleet) set(t testing.TB, key, field, text string) {
	t.Helper()
	if err := f.redis.HSet(t.Context(), "shoal:1:{"+f.app+key, field, text).Err(); err != nil {
		t.Fatal(err)
	}
}

var aheads = []time.Duration{time.Second, time.Hour, 50 * 365 * 24 * time.Hour}

func TestTimesToComeAreNotBelieved_ASetThatIsConfirmedIsShown(t *testing.T) {
	f := newFleet(t)
	g := f.process(t).NewGauge(shoal.GaugeOpts{Name: "last", Mode: shoal.Latest})
	other := f.process(t).NewGauge(shoal.GaugeOpts{Name: "last", Mode: shoal.Latest})
	reader := f.reader(t)
	for i, ahead := range aheads {
		f.set(t, "/last}:v", "", fmt.Sprintf("5 %d 0", f.now(t).Add(ahead).UnixMicro()))
		for n, g := range []*shoal.Gauge{g, other} {
			v := float64(10*i + n)
			if err := g.SetSync(within(t), v); err != nil {
				t.Fatal(err)
			}
			scrape(t, reader).want(t, "last", fmt.Sprint(v))
		}
	}
}

func TestTimesToComeAreNotBelieved_TheYoungestDefinitionIsShown(t *testing.T) {
	for _, ahead := range aheads {
		f := newFleet(t)
		old := f.process(t)
		old.NewCounter(shoal.CounterOpts{Name: "c_total", Help: "Of the process."}).Inc()
		flush(t, old)
		f.set(t, "/c_total}:ctl", "help", "Of before.")
		f.set(t, "/c_total}:ctl", "born", fmt.Sprint(f.now(t).Add(ahead).UnixMicro()))
		eventuallyPage(t, f.reader(t), func(p page) error {
			if !strings.Contains(p.text, "# HELP c_total Of the process.\n") {
				return fmt.Errorf("the help is that of before")
			}
			return nil
		})
	}
}

func TestTimesToComeAreNotBelieved_ANewReaderWaitsForNothing(t *testing.T) {
	for _, ahead := range aheads {
		f := newFleet(t)
		r := f.process(t)
		r.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
		flush(t, r)
		leases, err := f.redis.HGetAll(t.Context(), "shoal:1:{"+f.app+"}:leases").Result()
		if err != nil {
			t.Fatal(err)
		}
		lineage, _, _ := strings.Cut(leases["lineage"], " ")
		f.set(t, "}:leases", "lineage", fmt.Sprintf("%s %d", lineage, f.now(t).Add(ahead+time.Hour).UnixMilli()))
		begin := time.Now()
		scrape(t, f.reader(t)).want(t, "c_total", "1")
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the page took %v", took)
		}
	}
}

func TestTimesToComeAreNotBelieved_TheDeadGoWithTheTimeTheyWereGiven(t *testing.T) {
	f := newFleet(t)
	r := f.process(t)
	r.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
	flush(t, r)
	reader := f.process(t, func(o *shoal.Opts) { o.ReadOnly, o.LeaseDuration = true, time.Second })
	f.set(t, "}:leases", "i:7", fmt.Sprintf("dead %d - - - 0 1500", f.now(t).Add(time.Hour).UnixMilli()))
	f.set(t, "}:leases", "i:8", fmt.Sprintf("untold %d - - - 0", f.now(t).Add(time.Hour).UnixMilli()))
	scrape(t, reader).want(t, "shoal_instances", "3")
	eventuallyPage(t, reader, func(p page) error {
		if _, living := p.value(`shoal_instance_info{gauge_index="0",host="h"}`); !living {
			t.Fatalf("the living process is gone:\n%s", p.text)
		}
		return p.has("shoal_instances", "1")
	})
}
