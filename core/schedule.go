// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

const (
	minBackoff  = 50 * time.Millisecond
	maxBackoff  = 2 * time.Second
	maxInterval = 10 * time.Second // the longest time between two flushes while Redis is slow
	selfPause   = 10 * time.Second // between two flushes that take shoal's own metrics along
	doubtPause  = time.Second      // between two registrations of all families that scrapes cause
	narrowest   = 16 << 10         // bytes a second of a line: if they are fewer, it is not the line that is slow
)

// schedule says when the writer does what: at first all at once. All times are jittered, so that
// processes that were started together do not stay in step.
type schedule struct {
	jitter jitter
	opts   Opts

	flushAt     time.Time
	alongsideAt time.Time // when a flush takes shoal's own metrics along again; zero for the next one
	refresh     refresh
	doubtAt     time.Time // when a scrape may make the writer register all families again
	retryAt     time.Time // nothing is tried before, since the last try failed
	failures    int       // flushes in a row that failed
}

// next is when something is due without anybody asking. The lease is due at renewAt.
func (s *schedule) next(renewAt time.Time) time.Time {
	at := s.flushAt
	for _, t := range []time.Time{s.refresh.at, renewAt} {
		if t.Before(at) {
			at = t
		}
	}
	if at.Before(s.retryAt) {
		at = s.retryAt
	}
	return at
}

// due says whether a moment of the schedule has come.
func due(at, now time.Time) bool { return !now.Before(at) }

// flushed sets the next flush, after one that sent so many bytes, about. Where flushes take long
// for few bytes, Redis is slow, and gets four times as long for others. Where a narrow line takes
// long for many, others get a third of the time: a count is late by two flushes and the pause
// between them at most.
func (s *schedule) flushed(took time.Duration, bytes int) {
	pause := 4 * took
	if float64(bytes) > narrowest*took.Seconds() {
		pause = took / 2
	}
	pause = max(s.opts.Interval, min(pause, maxInterval))
	s.flushAt = time.Now().Add(s.jitter.around(pause))
}

// succeeded ends a row of failures. Redis may have been away and have come back with an
// older state. If it does not tell its lineage, the writer asks at once for every family.
func (s *schedule) succeeded(lineageKnown bool) {
	if s.failures > 0 && !lineageKnown {
		s.refresh.refreshNow(time.Now())
	}
	s.failures, s.retryAt = 0, time.Time{}
}

// failed sets the time of the next try, which is later after each failure in a row.
func (s *schedule) failed() {
	s.failures++
	// After a change of the lineage pages wait for leaseGrace. In that time a living
	// writer that lost its lease must have renewed it.
	longest := min(maxBackoff, max(s.opts.LeaseDuration/6, minBackoff))
	backoff := min(minBackoff<<min(s.failures, 10), longest)
	s.retryAt = time.Now().Add(backoff/2 + s.jitter.below(backoff/2))
	s.flushAt = s.retryAt
	s.alongsideAt = time.Time{} // those that were not sent go with the next try
}

// doubtDue says whether a scrape may make the writer register all families, and sets
// when another may.
func (s *schedule) doubtDue(now time.Time) bool {
	if !due(s.doubtAt, now) {
		return false
	}
	s.doubtAt = now.Add(doubtPause)
	return true
}
