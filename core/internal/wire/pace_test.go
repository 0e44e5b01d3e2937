// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// line is a connection of so many bytes a second and this round trip.
type line struct {
	rate int
	trip time.Duration
}

func (l line) takes(bytes int) time.Duration {
	return l.trip + time.Duration(float64(bytes)/float64(l.rate)*float64(time.Second))
}

// send sends full pipelines with n bytes in all, as a caller of Pace does. It returns how long
// that took, and how many of them failed.
func (l line) send(p *Pace, n int, timeout time.Duration) (took time.Duration, failures int) {
	for n > 0 {
		bytes := min(n, p.Bytes())
		t := min(l.takes(bytes), timeout)
		took += t
		if t == timeout {
			p.Took(bytes, timeout, context.DeadlineExceeded)
			failures++
			continue
		}
		p.Took(bytes, t, nil)
		n -= bytes
	}
	return took, failures
}

func TestPace_NothingFailsOnASteadyLineAndTheLineIsUsed(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 3 * time.Second} {
		for _, rate := range []int{20 << 10, 100 << 10, 1 << 20, 100 << 20} {
			for _, trip := range []time.Duration{0, 20 * time.Millisecond, 80 * time.Millisecond} {
				if rate == 20<<10 && timeout == time.Second {
					continue // the first pipeline would take as long
				}
				t.Run(fmt.Sprintf("%v of %d B/s with %v", timeout, rate, trip), func(t *testing.T) {
					l, p := line{rate, trip}, NewPace(timeout, 4<<20)
					bytes := 10 * rate
					if _, failures := l.send(&p, bytes, timeout); failures > 0 {
						t.Errorf("%d failures at the beginning", failures)
					}
					took, failures := l.send(&p, bytes, timeout)
					if failures > 0 {
						t.Errorf("%d failures", failures)
					}
					// The line is idle for a round trip of each pipeline, which takes at least a sixth of the timeout.
					idle := 10 * trip.Seconds() / ((timeout / 6) - trip).Seconds()
					if took.Seconds() > 10.5+idle && p.Bytes() < 4<<20 {
						t.Errorf("%d bytes took %v, which the line alone takes 10 s for", bytes, took)
					}
				})
			}
		}
	}
}

func TestPace_ALineThatBecomesNarrowIsNoticedBeforeItFails(t *testing.T) {
	const timeout = 3 * time.Second
	p, narrow := NewPace(timeout, 4<<20), line{300 << 10, 20 * time.Millisecond}
	line{1 << 20, 20 * time.Millisecond}.send(&p, 10<<20, timeout)
	if _, failures := narrow.send(&p, 10<<20, timeout); failures > 0 {
		t.Errorf("%d failures", failures)
	}
	if took := narrow.takes(p.Bytes()); took > timeout/3 {
		t.Errorf("a full pipeline takes %v", took)
	}
}

func TestPace_AFailureHalvesOnceWhatFailed(t *testing.T) {
	p := NewPace(3*time.Second, 4<<20)
	line{100 << 20, 0}.send(&p, 100<<20, 3*time.Second)
	p.Took(3<<20, time.Second, context.DeadlineExceeded)
	if got := p.Bytes(); got != 3<<19 {
		t.Errorf("after a failure of 3 MiB: %d bytes", got)
	}
	p.Took(600, time.Second, context.DeadlineExceeded)
	if got := p.Bytes(); got != 3<<19 {
		t.Errorf("after a failure of 600 bytes: %d bytes", got)
	}
	for range 20 {
		p.Took(p.Bytes(), time.Second, context.DeadlineExceeded)
	}
	if got := p.Bytes(); got != paceLeast {
		t.Errorf("after many failures: %d bytes, want %d", got, paceLeast)
	}
}

func TestPace_WithoutAConnectionNothingIsLearnt(t *testing.T) {
	p := NewPace(3*time.Second, 4<<20)
	p.Took(paceBegin, 3*time.Second, unsentError{context.DeadlineExceeded})
	if got := p.Bytes(); got != paceBegin {
		t.Errorf("%d bytes, want %d", got, paceBegin)
	}
}

func TestPace_OneLongPauseCostsNoMoreThanHalf(t *testing.T) {
	p := NewPace(3*time.Second, 4<<20)
	line{1 << 20, 0}.send(&p, 10<<20, 3*time.Second)
	before := p.Bytes()
	p.Took(100, 2*time.Second, nil)
	if got := p.Bytes(); got != before/2 {
		t.Errorf("from %d to %d bytes", before, got)
	}
}

func TestPace_ShortPipelinesTellNothingOfLongOnes(t *testing.T) {
	p := NewPace(3*time.Second, 4<<20)
	for range 100 {
		p.Took(100, time.Millisecond, nil)
	}
	if got := p.Bytes(); got != paceBegin {
		t.Errorf("%d bytes, want %d", got, paceBegin)
	}
}
