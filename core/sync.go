// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
)

// waiter is a synchronous write that waits for Redis. Waiters of one family
// share batches, and all families share pipelines: that is the group commit.
type waiter struct {
	series *series
	op     int // its place in the batch, where the total will be
	done   chan outcome
}

type outcome struct {
	text string // the series as Redis has it
	err  error
}

// finish answers the waiter, who may have gone: the channel has room for the
// one answer.
func (w *waiter) finish(text string, err error) {
	select {
	case w.done <- outcome{text, err}:
	default:
	}
}

// confirm waits until Redis has what was written to the series before the
// call, and returns the series as it then was.
func (s *series) confirm(ctx context.Context) (string, error) {
	c, err := s.fam.reg.writing()
	if err != nil {
		return "", err
	}
	w := &waiter{series: s, done: make(chan outcome, 1)}
	f := s.fam
	f.mu.Lock()
	f.waiters = append(f.waiters, w)
	f.mu.Unlock()
	c.writer.wakeUp()
	select {
	case o := <-w.done:
		return o.of(f)
	case <-ctx.Done():
		s.abandon(w)
		err = fmt.Errorf("shoal: %s %q: not confirmed yet, delivered later: %w",
			f.def.kind, f.def.name, context.Cause(ctx))
	case <-c.writer.stopped:
		err = ErrClosed
	}
	select {
	case o := <-w.done: // it came at the same moment
		return o.of(f)
	default:
		return "", err
	}
}

// of names the family in the outcome's error.
func (o outcome) of(f *family) (string, error) {
	if o.err != nil {
		return "", fmt.Errorf("%s %q: %w", f.def.kind, f.def.name, o.err)
	}
	return o.text, nil
}

// abandon takes a waiter back that no batch has taken yet, so that those who
// gave up while Redis is away do not gather.
func (s *series) abandon(w *waiter) {
	f := s.fam
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, other := range f.waiters {
		if other == w {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			return
		}
	}
}
