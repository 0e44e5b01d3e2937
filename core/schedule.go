// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

const (
	minBackoff    = 50 * time.Millisecond
	maxBackoff    = 2 * time.Second
	maxInterval   = 10 * time.Second // to which a slow Redis stretches flushes
	housekeepTime = 10 * time.Minute
	selfPause     = 10 * time.Second // between two flushes that take shoal's own metrics along
	doubtPause    = time.Second      // between two times that scrapes make the writer register all families
)

// schedule says when the writer does what. All times are jittered, so that processes
// that were started together do not stay in step.
type schedule struct {
	jitter jitter
	opts   Opts

	flushAt     time.Time
	alongsideAt time.Time // when a flush takes shoal's own metrics along again; zero if the last did not
	refreshAt   time.Time
	housekeepAt time.Time
	doubtAt     time.Time // when a scrape may make the writer register all families again
	retryAt     time.Time // nothing is tried before, since Redis is away
	failures    int       // flushes in a row that failed
}

// newSchedule begins at once, but for the housekeeping: a fleet starts at once.
func newSchedule(opts Opts, jitter jitter) schedule {
	return schedule{opts: opts, jitter: jitter, housekeepAt: time.Now().Add(jitter.below(housekeepTime))}
}

// next is when there is something to do without being asked. The lease is to be
// renewed at renewAt.
func (s *schedule) next(renewAt time.Time) time.Time {
	at := s.flushAt
	for _, t := range []time.Time{s.refreshAt, s.housekeepAt, renewAt} {
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

// flushed sets the next flush, later where flushes take long.
func (s *schedule) flushed(took time.Duration) {
	pause := max(s.opts.Interval, min(4*took, maxInterval))
	s.flushAt = time.Now().Add(s.jitter.around(pause))
}

// succeeded forgets the failures before. A store that was away may have come
// back as it was earlier. One that does not tell its lineage is asked at once
// for every family.
func (s *schedule) succeeded(lineageKnown bool) {
	if s.failures > 0 && !lineageKnown {
		s.refreshAt = time.Now()
	}
	s.failures, s.retryAt = 0, time.Time{}
}

// failed sets the time of the next try, which moves away while Redis is.
func (s *schedule) failed() {
	s.failures++
	// A page is held back for a heartbeat after a change of the lineage (see
	// leaseGrace): whoever lost its lease meanwhile must be heard in it.
	longest := min(maxBackoff, max(s.opts.LeaseDuration/6, minBackoff))
	backoff := min(minBackoff<<min(s.failures, 10), longest)
	s.retryAt = time.Now().Add(backoff/2 + s.jitter.below(backoff/2))
	s.flushAt = s.retryAt
	s.alongsideAt = time.Time{} // what the failure left of them goes with the next try
}

// refreshDue says whether a refresh is due, and sets the next.
func (s *schedule) refreshDue(now time.Time) bool {
	if !due(s.refreshAt, now) {
		return false
	}
	pause := s.jitter.early(s.opts.RefreshPeriod) // not later: an Expire may be just above the period
	if s.refreshAt.IsZero() {
		pause = s.jitter.below(s.opts.RefreshPeriod) // a fleet starts at once
	}
	s.refreshAt = now.Add(pause)
	return true
}

// housekeepDue says whether the housekeeping is due, and sets the next.
func (s *schedule) housekeepDue(now time.Time) bool {
	if !due(s.housekeepAt, now) {
		return false
	}
	s.housekeepAt = now.Add(housekeepTime + s.jitter.around(housekeepTime))
	return true
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
