// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"sync"
)

// waiter is a synchronous write that waits for Redis. Waiters of one family
// share batches, and all families share pipelines: that is the group commit.
type waiter struct {
	series *series
	op     int  // the index of its op in the batch, and of its total in the answer
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

// waitOn makes waiters wait for the next batch: new ones, and those for which the batch that they
// were taken for was not made. It leaves out those that gave up meanwhile. The caller holds mu.
func (f *family) waitOn(list ...*waiter) {
	for _, w := range list {
		if !w.gone {
			f.waiters = append(f.waiters, w)
		}
	}
	if len(f.waiters) > 0 && !f.awaited {
		f.awaited = true
		f.reg.awaited.add(f)
	}
}

// awaitedFamilies are those in which synchronous writes wait, so that the writer need not look
// for them among all families.
type awaitedFamilies struct {
	mu   sync.Mutex
	list []*family // those marked as awaited; some have no waiter any more; guarded by mu
}

// add enters a family. The caller holds the family's mu and has marked it.
func (a *awaitedFamilies) add(f *family) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, f)
}

// families returns those that have waiters now.
func (a *awaitedFamilies) families() []*family {
	a.mu.Lock()
	list := a.list
	a.list = nil
	a.mu.Unlock()
	list = slices.DeleteFunc(list, func(f *family) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.awaited = len(f.waiters) > 0
		return !f.awaited
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = slices.Concat(list, a.list)
	return list
}

// abandon removes a waiter that gave up, if no batch has taken it yet. Otherwise such
// waiters would pile up while Redis is away.
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
