// SPDX-License-Identifier: Apache-2.0

package wire

import "time"

const (
	paceLeast = 8 << 10 // on a line that takes seconds for so few bytes, nothing helps
	paceBegin = 32 << 10
)

// Pace learns how many bytes one pipeline may carry over a line, counted in the direction in
// which most of them go. A pipeline that takes longer than the client waits fails as a whole, and
// on a narrow line one that is always full would fail again and again. One that is too short
// leaves the line idle for a round trip.
//
// So a pipeline is to take between a sixth and a third of the client's timeout: it still gets
// through when the line becomes three times slower from one pipeline to the next. A pace begins
// low. It doubles when a pipeline that was at least half full took less, and falls, before
// anything fails, when a pipeline took longer. In between it stays, so a steady line has a steady
// pace. After a failure it is half of what failed. Callers keep a pace for as long as they use the
// line: what it has learnt holds for the next flush or page.
//
// A Pace is not safe for concurrent use.
type Pace struct {
	bytes int
	most  int
	least time.Duration // that a full pipeline is to take
}

// NewPace returns the pace of a line that nothing is known of. timeout is the client's, see
// [Store]; most bounds a pipeline on the fastest line.
func NewPace(timeout time.Duration, most int) Pace {
	return Pace{bytes: min(paceBegin, most), most: most, least: timeout / 6}
}

// Bytes is how much the next pipeline may carry. If one call is larger, it goes alone.
func (p *Pace) Bytes() int { return p.bytes }

// Took notes how long a pipeline of so many bytes took, and the error of its last request. An error
// that says that nothing was sent, since there is no connection, tells nothing of the line, nor does
// the failure of a pipeline so short that any line would carry it.
func (p *Pace) Took(bytes int, took time.Duration, err error) {
	switch {
	case err == nil || Answered(err):
		p.answered(bytes, took)
	case !Refused(err) && bytes >= min(paceBegin, p.bytes/2): // of a short one, it was not the length
		p.set(min(bytes, p.bytes) / 2)
	}
}

func (p *Pace) answered(bytes int, took time.Duration) {
	switch {
	case took > 2*p.least:
		// No more than by half: Redis may have paused once, whatever the length of the pipeline.
		fitting := int(float64(bytes) * float64(p.least) / float64(took))
		p.set(max(fitting, p.bytes/2))
	case took <= p.least && bytes >= p.bytes/2:
		p.set(2 * p.bytes)
	}
}

func (p *Pace) set(bytes int) { p.bytes = max(min(bytes, p.most), min(paceLeast, p.most)) }

// usualTimeout is go-redis's default, for reading and for writing.
const usualTimeout = 3 * time.Second

// shortestTimeout returns the shortest of a client's timeouts, of which some may be off, and
// usualTimeout.
func shortestTimeout(timeouts ...time.Duration) time.Duration {
	shortest := usualTimeout
	for _, t := range timeouts {
		if t > 0 {
			shortest = min(shortest, t)
		}
	}
	return shortest
}

// Timeout implements [Store].
func (r *Redis) Timeout() time.Duration { return r.timeout }
