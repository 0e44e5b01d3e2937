// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
)

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
	s.consts.fam.waitOn(w)
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
