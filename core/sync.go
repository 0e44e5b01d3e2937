// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
)

// waiter is a synchronous write that waits for Redis. Waiters of one family
// share batches, and all families share pipelines: that is the group commit.
type waiter struct {
	series *series
	op     int  // its place in the batch, where the total will be
	gone   bool // the caller gave up; guarded by its family's mu
	done   chan outcome
}

type outcome struct {
	text string // the series as Redis has it
	err  error
}

// finish answers the waiter. It may have given up: the channel has room for the
// answer.
func (w *waiter) finish(text string, err error) {
	select {
	case w.done <- outcome{text, err}:
	default:
	}
}

// awaitAck calls write, which counts something in the series, waits until Redis
// has acknowledged it, and returns the series as Redis then had it. Where the value
// would go nowhere, it does not call write.
func (s *series) awaitAck(ctx context.Context, write func()) (string, error) {
	f := s.consts.fam
	c, err := f.reg.writing()
	if errors.Is(err, ErrNotConnected) {
		write()
		return "", f.unconfirmed("kept in memory, and delivered once the registry is connected", err)
	}
	var w *waiter
	if err == nil {
		w, err = c.enter(s, write)
	}
	if err != nil {
		return "", f.unconfirmed("the value goes nowhere", err)
	}
	c.writer.wakeUp()
	select {
	case o := <-w.done:
		return o.of(f)
	case <-ctx.Done():
		s.abandon(w)
	case <-c.writer.stopped:
	}
	select {
	case o := <-w.done: // it came at the same moment
		return o.of(f)
	case <-c.writer.stopped: // Close gave up: an earlier batch may have had the value
		return "", f.unconfirmed("not confirmed before the registry gave up", errors.Join(ErrClosed, ErrLost))
	default:
	}
	if c.closing() {
		return "", f.unconfirmed("not confirmed yet; Close goes on trying, and its error tells what is not delivered", context.Cause(ctx))
	}
	return "", f.unconfirmed("not confirmed yet, delivered later", context.Cause(ctx))
}

// enter calls write and enters a waiter for it. Close waits until both are done, and
// delivers them; calls that come later get ErrClosed and write nothing.
func (c *connection) enter(s *series, write func()) (*waiter, error) {
	c.awaiting.RLock()
	defer c.awaiting.RUnlock()
	if c.closing() {
		return nil, ErrClosed
	}
	write()
	w := &waiter{series: s, done: make(chan outcome, 1)}
	s.consts.fam.mu.Lock()
	s.consts.fam.waiters = append(s.consts.fam.waiters, w)
	s.consts.fam.mu.Unlock()
	return w, nil
}

// unconfirmed is the error of a synchronous write: what becomes of its value, and why.
func (f *family) unconfirmed(what string, err error) error {
	return prefixOnce(fmt.Errorf("shoal: %s %q: %s: %w", f.def.kind, f.def.name, what, err))
}

// of names the family in the outcome's error.
func (o outcome) of(f *family) (string, error) {
	if o.err != nil {
		return "", prefixOnce(fmt.Errorf("shoal: %s %q: %w", f.def.kind, f.def.name, o.err))
	}
	return o.text, nil
}

// waitOn makes waiters wait for the next batch, since the one that they were taken for
// was not made; but not those that gave up meanwhile. The caller holds mu.
func (f *family) waitOn(list ...*waiter) {
	for _, w := range list {
		if !w.gone {
			f.waiters = append(f.waiters, w)
		}
	}
}

// abandon takes out a waiter that gave up, if no batch has taken it yet: else they
// would pile up while Redis is away.
func (s *series) abandon(w *waiter) {
	f := s.consts.fam
	f.mu.Lock()
	defer f.mu.Unlock()
	w.gone = true
	for i, other := range f.waiters {
		if other == w {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			return
		}
	}
}
