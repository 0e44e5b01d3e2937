// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// In mode Total, what one process counts up and another counts down adds up, though the first
// process closes and the second is killed.
func TestTotal_StaysRightWhenOneProcessClosesAndAnotherIsKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reader := f.reader(t)
	lease := func(c *childConfig) { c.Lease = 3 * time.Second }
	// b sends nothing by itself: neither by an interval, nor by a refresh, nor because it lost
	// its lease on a busy machine.
	a, b := f.spawn(t, lease), f.spawn(t, lease, func(c *childConfig) { c.Every, c.Refresh = time.Hour, 50*time.Second })
	a.Tell("carts 10")
	a.Tell("flush")
	b.Tell("carts -3")
	b.Tell("flush")
	testkit.Scrape(t, reader).Want(t, "carts_open", "7")
	a.Tell("carts 1")
	a.Tell("carts -1")
	a.Tell("close")
	testkit.Scrape(t, reader).Want(t, "carts_open", "7")
	b.Tell("carts 100") // not flushed
	b.Kill()
	testkit.Scrape(t, reader).Want(t, "carts_open", "7")
	testkit.EventuallyHas(t, reader, "shoal_instances", "0")
	testkit.Scrape(t, reader).Want(t, "carts_open", "7") // b's lease has expired too
	c := f.spawn(t)
	c.Tell("carts -7.5")
	c.Tell("flush")
	testkit.Scrape(t, reader).Want(t, "carts_open", "-0.5")
}

// What a process of another mode writes under the same name is not in the sum and
// does not damage it. The page shows the mode of the youngest process.
func TestTotal_TheModeMayChangeAtADeployAndBack(t *testing.T) {
	t.Parallel()
	for _, old := range []shoal.Mode{shoal.Sum, shoal.PerProcess, shoal.Latest} {
		t.Run("from "+string(old), func(t *testing.T) {
			f := newFleet(t)
			reader := f.reader(t)
			mode := func(m shoal.Mode) func(*childConfig) { return func(c *childConfig) { c.Carts = m } }
			was := map[shoal.Mode]string{shoal.PerProcess: `carts_open{gauge_index="0"}`}[old]
			if was == "" {
				was = "carts_open"
			}
			a := f.spawn(t, mode(old))
			a.Tell("setcarts 5")
			a.Tell("flush")
			testkit.Scrape(t, reader).Want(t, was, "5")

			b := f.spawn(t, mode(shoal.Total)) // the deploy
			b.Tell("carts -2")
			b.Tell("flush")
			onlyShows(t, reader, "carts_open", "-2")
			a.Tell("setcarts 6") // the old process goes on, and registers again
			a.Tell("flush")
			f.passes(t, 300*time.Millisecond)
			onlyShows(t, reader, "carts_open", "-2")

			c := f.spawn(t, mode(old)) // the rollback
			c.Tell("flush")
			testkit.Scrape(t, reader).Want(t, was, "6")
			b.Tell("carts 3")
			b.Tell("close")

			d := f.spawn(t, mode(shoal.Total)) // a second deploy
			d.Tell("carts 10")
			d.Tell("flush")
			onlyShows(t, reader, "carts_open", "11")
			p := testkit.Scrape(t, reader)
			testkit.Check(t, p.Has("shoal_corrupt_values_total", "0", "shoal_omitted_families_total", "0"))
		})
	}
}

// onlyShows wants a family to have only this sample.
func onlyShows(t *testing.T, reader *shoal.Registry, series, want string) {
	t.Helper()
	p := testkit.Scrape(t, reader)
	p.Want(t, series, want)
	p.WantSamples(t, series, 1)
}
