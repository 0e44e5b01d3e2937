// SPDX-License-Identifier: Apache-2.0

package shoal

import "testing"

// A write that comes while its series is drained may have been missed, so it
// must put the series on the list again.
func TestFamily_AWriteDuringADrainIsSeenAgain(t *testing.T) {
	c := New().NewCounter(CounterOpts{Name: "c_total"})
	f := c.consts.fam
	f.takeDirty(func(*series) {}) // its 0, from the declaration
	c.Inc()
	c.Inc()
	visits, total := 0, 0.0
	visit := func(s *series) {
		visits++
		total += c.drain(nil)[0].Value
		if visits == 1 {
			c.Inc()
		}
	}
	f.takeDirty(visit)
	if visits != 1 || total != 2 {
		t.Fatalf("visited %d times, drained %v", visits, total)
	}
	f.takeDirty(visit)
	f.takeDirty(visit)
	if visits != 2 || total != 3 {
		t.Errorf("visited %d times, drained %v; want 2 and 3", visits, total)
	}
}
