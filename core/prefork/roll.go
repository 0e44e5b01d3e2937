// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"fmt"
	"time"
)

// roll is the replacement of all workers, one by one: a new one begins, and when it is ready,
// the old one is told to end; when that has ended, it is the next one's turn.
type roll struct {
	rolling bool
	again   bool     // somebody asked meanwhile: there may be a newer program
	awaited *process // the old worker whose end the roll waits for
}

// hangup begins a roll, now or after the one under way.
func (p *parent) hangup() {
	switch {
	case p.stopping:
	case p.roll.rolling:
		p.roll.again = true
	default:
		p.opts.Logger.Info("prefork: a roll begins")
		p.roll.rolling = true
		p.rollOn(0)
	}
}

// rollOn replaces the worker of this number.
func (p *parent) rollOn(number int) {
	if number == len(p.slots) {
		p.opts.Logger.Info("prefork: the roll has replaced all workers")
		p.rollEnded()
		return
	}
	s := p.slots[number]
	if s.respawn != nil {
		s.respawn.Stop()
	}
	legacy := s.legacy
	if s.current != nil {
		legacy = nil // it is alive, and gives its indexes back by itself
	}
	w, err := p.start(s, legacy)
	if err != nil {
		p.rollFailed(s, fmt.Errorf("worker %d does not start: %w", s.number, err))
		return
	}
	s.next = w
	w.late = time.AfterFunc(p.opts.ReadyTimeout, func() {
		p.do(func() {
			if s.next == w {
				s.next = nil
				p.tell(w)
				p.rollFailed(s, fmt.Errorf("%v is not ready after %v", w, p.opts.ReadyTimeout))
			}
		})
	})
}

// rolled notes that the successor of a roll is ready.
func (p *parent) rolled(w *process) {
	w.late.Stop()
	s := w.slot
	old := s.current
	s.current, s.next, s.deaths = w, nil, 0
	if p.stopping {
		return
	}
	if old == nil {
		p.rollOn(s.number + 1)
		return
	}
	p.roll.awaited = old
	p.tell(old)
}

// rollFailed ends a roll whose new worker is not to be had. The old workers go on.
func (p *parent) rollFailed(s *slot, err error) {
	p.opts.Logger.Error(fmt.Sprintf("prefork: the roll stops at worker %d, and the old ones go on: %v", s.number, err))
	p.rollEnded()
	if s.current == nil && s.next == nil { // it died meanwhile
		p.replace(s)
	}
}

func (p *parent) rollEnded() {
	again := p.roll.again
	p.roll = roll{}
	if again {
		p.hangup()
	}
}
