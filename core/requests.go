// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"sync"
)

// flushRequest asks for everything written before it to be brought to Redis.
type flushRequest struct {
	ctx  context.Context
	once bool // answer after one try, as scrapes ask
	done chan error
}

// flushRequests are the flush requests that are not answered.
type flushRequests struct {
	mu  sync.Mutex
	new []*flushRequest // guarded by mu

	collected []*flushRequest // taken from new; belongs to the writer's goroutine
}

func (q *flushRequests) add(r *flushRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.new = append(q.new, r)
}

// remove drops a request whose caller gave up, at once: the goroutine may be
// waiting for Redis, and impatient scrapes would pile up.
func (q *flushRequests) remove(r *flushRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.new = slices.DeleteFunc(q.new, func(other *flushRequest) bool { return other == r })
}

// collect takes the requests that came in, and forgets those whose callers
// gave up. A flush that begins after it may answer them.
func (q *flushRequests) collect() {
	q.mu.Lock()
	q.collected = append(q.collected, q.new...)
	q.new = nil
	q.mu.Unlock()
	q.collected = slices.DeleteFunc(q.collected, func(r *flushRequest) bool { return r.ctx.Err() != nil })
}

// onlyScrapes says whether none but scrapes wait.
func (q *flushRequests) onlyScrapes() bool {
	return !slices.ContainsFunc(q.collected, func(r *flushRequest) bool { return !r.once })
}

// answer answers the collected requests after a flush: all of them when it
// succeeded, those for a single try when it failed.
func (q *flushRequests) answer(succeeded bool, result error) {
	q.collected = slices.DeleteFunc(q.collected, func(r *flushRequest) bool {
		if !succeeded && !r.once {
			return false
		}
		r.done <- result
		return true
	})
}
