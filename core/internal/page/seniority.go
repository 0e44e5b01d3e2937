// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// seniority finds out whether this process is the senior, which shows the shared families on its own
// page: the living candidate with the smallest stamp. The leases that a reading finds decide, so no
// two pages of one state of Redis show them.
//
// It also finds out since when this process is. Redis notes when a candidate goes. If the senior
// goes without a note, since the leases were lost or an older client took its index, the reader
// notices by what it has read before.
type seniority struct {
	last struct { // the senior by the last reading
		writer string // empty for none
		stamp  int64
		seen   time.Time // when it was, by Redis's clock
		read   time.Time // and by this process's
	}
	senior bool      // it is this process
	since  time.Time // since when, by Redis's clock; zero if no other process ever was

	unknown time.Time // until when, by Redis's clock, others may have been the senior without a note
	ahead   time.Time // a noted time that was in the future when it was read
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

// slowReply is how much longer than the last one a reply may take that does not look as if Redis's
// clock was set back.
const slowReply = 100 * time.Millisecond

// judge takes in a reading, which was done at this time by the process's clock.
func (s *seniority) judge(app wire.AppState, held *Held, read time.Time) standing {
	var process, leased string
	if held != nil {
		process, leased = held.Process, held.Writer
	}
	result := standing{now: app.Now, read: read}
	var own, eldest *wire.Lease
	for i := range app.Leases {
		l := &app.Leases[i]
		if l.Writer == process {
			own = l
		}
		if l.Stamp > 0 && (eldest == nil || l.Stamp < eldest.Stamp) {
			eldest = l
		}
	}
	if own != nil {
		result.leased, result.index = true, own.Index
	}
	s.noteClock(app)
	s.noteLoss(app)
	// If the clock was set back, others may have taken this process for dead, while nobody asked it.
	setBack := app.Now.Sub(s.last.seen) < read.Sub(s.last.read)-slowReply
	was := s.senior && own != nil && own.Stamp == s.last.stamp && !setBack
	// If an overlong lease is not renewed soon, other readers take its
	// process for dead. They also do if Redis refuses to renew it, and
	// an expired lease may come to life when the clock is set back.
	s.senior = eldest != nil && eldest == own && own.Writer == leased && !own.Overlong(app.Now)
	s.last.writer = ""
	if eldest != nil {
		s.last.writer, s.last.stamp = eldest.Writer, eldest.Stamp
		s.last.seen, s.last.read = app.Now, read
	}
	if s.senior {
		if !was {
			s.since = s.sinceWhen(app, own)
		}
		result.senior, result.since = true, s.since
	}
	return result
}

// noteClock takes times that are in the future, since Redis's clock was set back, for the present.
func (s *seniority) noteClock(app wire.AppState) {
	future := func(at time.Time) bool { return at.After(app.Now.Add(resolution)) }
	if future(app.Left) && !app.Left.Equal(s.ahead) {
		s.ahead, s.unknown = app.Left, app.Now
	}
	for _, at := range []*time.Time{&s.since, &s.unknown} {
		if future(*at) {
			*at = app.Now
		}
	}
}

// noteLoss notices that the senior of the last reading has gone, and Redis has no note of it.
func (s *seniority) noteLoss(app wire.AppState) {
	is := func(l wire.Lease) bool { return l.Writer == s.last.writer && l.Stamp == s.last.stamp }
	if s.last.writer != "" && !app.Left.After(s.last.seen) &&
		!slices.ContainsFunc(app.Leases, is) && !slices.ContainsFunc(app.Expired, is) {
		s.unknown = app.Now
	}
}

// sinceWhen is when the last candidate went that came before this process.
func (s *seniority) sinceWhen(app wire.AppState, own *wire.Lease) (since time.Time) {
	times := []time.Time{s.unknown, app.Left}
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
