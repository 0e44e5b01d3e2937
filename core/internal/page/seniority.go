// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// seniority finds out whether this process is the senior, which shows the shared families on its own
// page: the living candidate with the smallest stamp. The lease that a reading finds decides, so no
// two pages of one state of Redis show them.
//
// It also finds out since when this process is. Redis notes when a candidate goes. Of a senior that
// goes without a trace, with a key that was lost or by an older client's script, the reader knows
// from its last reading how long the lease was to last, and takes it for alive until then.
type seniority struct {
	senior bool      // this process, by the last reading
	stamp  int64     // of this process then
	since  time.Time // since when, by Redis's clock; zero if no other process ever was

	other struct { // the senior by the last reading, if it is another process
		writer string
		stamp  int64
		until  time.Time // when its lease expires, by this process's clock
	}
	left      time.Time // as the last reading found it
	traceless time.Time // when the last senior expired that went without a trace, by Redis's clock
}

// standing is what a reading tells of this process among the others.
type standing struct {
	leased bool // it has a lease
	index  int
	senior bool
	since  time.Time // since when it is the senior, by Redis's clock; zero if no other process ever was

	now  time.Time // when the leases were read, by Redis's clock
	read time.Time // when they had been read, by this process's
}

// shows says whether the page of a request that came then has the shared families. A request from
// before this process became the senior gets none: its time is that of a page which another process
// may have answered.
func (s *standing) shows(came time.Time) bool {
	return s.senior && !s.now.Add(-s.read.Sub(came)).Before(s.since)
}

// resolution is that of the times that scripts note.
const resolution = time.Millisecond

// judge takes in a reading, which was done at this time by the process's clock.
func (s *seniority) judge(app wire.AppState, writer string, read time.Time) standing {
	result := standing{now: app.Now, read: read}
	var own, eldest *wire.Lease
	for i := range app.Leases {
		l := &app.Leases[i]
		if l.Writer == writer {
			own = l
		}
		// If an overlong lease is not dead, it is renewed soon.
		if l.Stamp > 0 && !l.Overlong(app.Now) && (eldest == nil || l.Stamp < eldest.Stamp) {
			eldest = l
		}
	}
	if own != nil {
		result.leased, result.index = true, own.Index
	}
	was := s.senior && own != nil && own.Stamp == s.stamp
	missed := s.misses(app, read)
	s.senior = !missed && own != nil && own == eldest
	switch {
	case s.senior:
		if !was {
			s.since = s.sinceWhen(app, own)
		}
		if s.since.After(app.Now.Add(resolution)) {
			s.since = app.Now // it was noted before the clock was set back
		}
		s.stamp = own.Stamp
		result.senior, result.since = true, s.since
	case missed || eldest == nil || eldest == own:
	default:
		s.other.writer, s.other.stamp = eldest.Writer, eldest.Stamp
		s.other.until = read.Add(eldest.Deadline.Sub(app.Now))
	}
	return result
}

// misses says whether another process was the senior, went without a trace, and may be alive.
func (s *seniority) misses(app wire.AppState, read time.Time) bool {
	noted := !app.Left.Equal(s.left)
	s.left = app.Left
	// What is in the future was noted before the clock was set back.
	if noted && s.left.After(app.Now.Add(resolution)) || s.traceless.After(app.Now) {
		s.traceless = app.Now
	}
	is := func(l wire.Lease) bool { return l.Writer == s.other.writer && l.Stamp == s.other.stamp }
	lives := func(l wire.Lease) bool { return is(l) && !l.Overlong(app.Now) }
	switch {
	case s.other.writer == "" || slices.ContainsFunc(app.Leases, lives):
		return false
	case noted || slices.ContainsFunc(app.Expired, is):
	case read.Before(s.other.until):
		return true
	default:
		s.traceless = app.Now.Add(-read.Sub(s.other.until))
	}
	s.other.writer = ""
	return false
}

// sinceWhen is when the last candidate went that came before this process.
func (s *seniority) sinceWhen(app wire.AppState, own *wire.Lease) (since time.Time) {
	times := []time.Time{s.traceless, app.Left}
	for _, l := range app.Expired {
		if l.Stamp < own.Stamp {
			times = append(times, l.Deadline)
		}
	}
	for _, at := range times {
		if at.After(since) && !at.After(app.Now.Add(resolution)) {
			since = at
		}
	}
	return since
}
