// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// redisClock tells Redis's time, from its answer to the last heartbeat.
type redisClock struct {
	redis  time.Time
	local  int64         // monotonicNow at about the same moment
	within time.Duration // of that moment
}

// at is Redis's time at a moment given by monotonicNow. Before Redis's first answer it is
// that of the local clock.
func (c *redisClock) at(moment int64) time.Time {
	if c.redis.IsZero() {
		return started.Add(time.Duration(moment))
	}
	return c.redis.Add(time.Duration(moment - c.local))
}

// notAfter is Redis's time at a moment, or a little earlier. Redis takes no start of a series for
// later than the batch that tells it. If it was, and Redis steps back and gets the batch again, the
// series would seem to begin later than pages have shown.
func (c *redisClock) notAfter(moment int64) time.Time { return c.at(moment).Add(-c.within) }

// clockStep is how far Redis's clock must be behind the expected time to count as set
// back.
const clockStep = time.Second

// set notes Redis's time at a moment between two, given by monotonicNow. It reports whether
// Redis's clock was set back.
func (c *redisClock) set(redis time.Time, from, to int64) (back bool) {
	middle := (from + to) / 2
	back = redis.Before(c.at(middle).Add(-clockStep))
	*c = redisClock{redis: redis, local: middle, within: time.Duration(to - middle)}
	return back
}

// started is the origin of monotonicNow.
var started = time.Now()

// monotonicNow is the time since this process started, in nanoseconds. Changes of the wall
// clock do not affect it.
func monotonicNow() int64 { return int64(time.Since(started)) }
