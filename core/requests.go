// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// flushRequest asks for everything written before it to be brought to Redis.
type flushRequest struct {
	ctx  context.Context
	once bool // answer after one try, as scrapes ask
	done chan error
}

// request asks for a flush and waits for it. With once it returns after one
// try, or at once while Redis is known to be away.
func (w *writer) request(ctx context.Context, once bool) error {
	r := &flushRequest{ctx: ctx, once: once, done: make(chan error, 1)}
	w.mu.Lock()
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	w.wakeUp()
	var err error
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		w.forget(r)
		err = context.Cause(ctx)
	case <-w.stopped:
		err = ErrClosed
	}
	select {
	case err := <-r.done: // it came at the same moment
		return err
	default:
		return err
	}
}

// forget drops a request whose caller gave up, at once: the goroutine may be
// waiting for Redis, and impatient scrapes would pile up.
func (w *writer) forget(r *flushRequest) {
	w.mu.Lock()
	w.requests = slices.DeleteFunc(w.requests, func(other *flushRequest) bool { return other == r })
	w.mu.Unlock()
	w.wakeUp() // for the case that it was collected already
}

// collect takes the requests that came in, and forgets those whose callers
// gave up. A flush that begins after it may answer them.
func (w *writer) collect() {
	w.mu.Lock()
	w.pending = append(w.pending, w.requests...)
	w.requests = nil
	w.mu.Unlock()
	w.pending = slices.DeleteFunc(w.pending, func(r *flushRequest) bool { return r.ctx.Err() != nil })
}

// answer answers the collected requests after a flush: all of them when it
// succeeded, those for a single try when it failed.
func (w *writer) answer(err error) {
	result := wire.Join(err, w.refusals())
	w.pending = slices.DeleteFunc(w.pending, func(r *flushRequest) bool {
		if err != nil && !r.once {
			return false
		}
		r.done <- result
		return true
	})
}

// refusals joins the errors of the families whose name another type holds.
func (w *writer) refusals() error {
	var errs []error
	for _, f := range *w.reg.families.Load() {
		errs = append(errs, f.out.refused)
	}
	return wire.Join(errs...)
}
