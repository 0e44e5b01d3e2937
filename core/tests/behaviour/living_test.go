// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// A killed process's gauges vanish when its lease expires, long before their own expiry, and its
// index is free again.
func TestGaugesTellTheLiving_AKilledProcessIsGoneWithItsLease(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	stays := f.spawn(t)
	stays.Tell("set 1")
	dies := f.spawn(t, func(c *childConfig) { c.Lease = 600 * time.Millisecond })
	dies.Tell("set 2")
	reader := f.reader(t)
	testkit.EventuallyHas(t, reader, `depth{gauge_index="0"}`, "1", `depth{gauge_index="1"}`, "2", "shoal_instances", "2")
	dies.Kill()
	testkit.EventuallyHas(t, reader, "shoal_instances", "1")
	p := testkit.Scrape(t, reader)
	p.Want(t, `depth{gauge_index="0"}`, "1")
	p.WantSamples(t, "depth", 1)
	next := f.spawn(t)
	next.Tell("set 3")
	testkit.Scrape(t, reader).Want(t, `depth{gauge_index="0"}`, "1", `depth{gauge_index="1"}`, "3")
}

// A process that asks for its predecessor's index by Opts.Index does not wait until the lease
// expires: here that would take ten minutes, longer than any test waits.
func TestGaugesTellTheLiving_AnIndexIsTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	index := 3
	config := func(c *childConfig) { c.Index, c.Lease = &index, 10*time.Minute }
	old := f.spawn(t, config)
	old.Tell("inc 2")
	old.Tell("set 1")
	reader := f.reader(t)
	testkit.Scrape(t, reader).Want(t, `depth{gauge_index="3"}`, "1")
	old.Signal(syscall.SIGSTOP) // so it does not learn that it is replaced
	next := f.spawn(t, config)
	next.Tell("set 2")
	p := testkit.Scrape(t, reader)
	p.Want(t, `depth{gauge_index="3"}`, "2", "shoal_instances", "1")
	p.WantSamples(t, "depth", 1)
	// The fenced process resumes. It may go on under another index, but never under
	// the one that it lost.
	old.Signal(syscall.SIGCONT)
	old.Tell("set 7")
	old.Tell("inc 3")
	old.Tell("flush")
	testkit.Scrape(t, reader).Want(t, `depth{gauge_index="3"}`, "2", `depth{gauge_index="0"}`, "7", "jobs_total", "5")
}

// All gauges of a process have the same index, and a new process takes the lowest free
// one: there are only as many label values as processes are alive at the same time.
func TestGaugesTellTheLiving_IndexesStayFewOverManyRestarts(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reader := f.reader(t)
	seen := map[string]bool{}
	for i := range 12 {
		reg := f.process(t)
		reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(float64(i))
		reg.NewGaugeVec(shoal.GaugeOpts{Name: "open"}, []string{"kind"}).WithLabelValues("a").Set(1)
		flush(t, reg)
		other := f.process(t)
		other.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(-1)
		flush(t, other)
		p := testkit.Scrape(t, reader)
		p.Want(t, `depth{gauge_index="0"}`, fmt.Sprint(i), `open{gauge_index="0",kind="a"}`, "1",
			`shoal_instance_info{gauge_index="0",host="h"}`, "1", `depth{gauge_index="1"}`, "-1")
		for series := range p.Samples {
			if _, after, ok := strings.Cut(series, `gauge_index="`); ok {
				seen[after[:1]] = true
			}
		}
		closeAll(t, other, reg)
	}
	if len(seen) != 2 {
		t.Errorf("the indexes %v were used for two processes at a time", seen)
	}
	f.wantNoTrace(t)
}

// A page does not show the gauges of a dead process beside those of its successor.
func TestGaugesTellTheLiving_NoIndexIsShownTwice(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, die := f.mortal(t, lease(300*time.Millisecond))
	reg.NewGauge(shoal.GaugeOpts{Name: "only_the_dead_had"}).Set(1)
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(1)
	flush(t, reg)
	die()
	reader := f.reader(t)
	testkit.EventuallyHas(t, reader, "shoal_instances", "0")
	if len(f.gaugeKeys(t)) == 0 {
		t.Fatal("the gauges of the dead are gone: the test shows nothing")
	}
	next := f.process(t)
	next.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(2)
	flush(t, next)
	p := testkit.Scrape(t, reader)
	p.Want(t, `depth{gauge_index="0"}`, "2")
	p.WantNone(t, "only_the_dead_had")
}
