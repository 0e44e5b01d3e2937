// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// storeClock tells the store's time, from its answer to the last heartbeat.
type storeClock struct {
	store time.Time
	local int64 // monotonicNow at about the same moment
}

// at is the store's time at a moment given by monotonicNow. Before the store's first
// answer it is that of the local clock.
func (c *storeClock) at(moment int64) time.Time {
	if c.store.IsZero() {
		return started.Add(time.Duration(moment))
	}
	return c.store.Add(time.Duration(moment - c.local))
}

// clockStep is by how much the store's clock must be behind what was expected to
// count as set back.
const clockStep = time.Second

// set notes the store's time at a moment given by monotonicNow. It reports whether
// the store's clock was set back.
func (c *storeClock) set(store time.Time, moment int64) (back bool) {
	back = store.Before(c.at(moment).Add(-clockStep))
	*c = storeClock{store: store, local: moment}
	return back
}

// started is the origin of monotonicNow.
var started = time.Now()

// monotonicNow is the time since this process started, in nanoseconds. Changes of the wall
// clock do not affect it.
func monotonicNow() int64 { return int64(time.Since(started)) }
