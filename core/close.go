// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// closeTimeout bounds a Close whose context has no deadline.
const closeTimeout = 10 * time.Second

// beginClose hands the writer goroutine the context of its last work.
func (w *writer) beginClose(ctx context.Context) {
	w.mu.Lock()
	if w.closing == nil {
		w.closing = ctx
	}
	w.mu.Unlock()
	w.wakeUp()
}

func (w *writer) closingContext() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing
}

// finish is the goroutine's last work: it delivers what is left and gives up
// the lease and the gauges, trying until that is done or the context ends.
func (w *writer) finish(ctx context.Context) {
	w.collect()
	for !w.flush() {
		if !pause(ctx) {
			w.answer(ErrClosed)
			return
		}
	}
	w.answer(nil)
	for w.lastErr = w.release(); w.lastErr != nil; w.lastErr = w.release() {
		if !pause(ctx) {
			return
		}
	}
	w.finished = true
}

// pause waits before the next try. It reports whether there is time for one.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(minBackoff + rand.N(minBackoff)):
		return true
	}
}

func (w *writer) release() error {
	if w.lease.index < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	if err := w.store.Release(ctx, w.id, w.lease.index); err != nil {
		return fmt.Errorf("shoal: giving back the index: %w", err)
	}
	return nil
}

// undelivered describes what Close leaves behind, or is nil. It may be called
// once the goroutine has ended.
func (w *writer) undelivered() error {
	err := errors.Join(w.lastErr, w.refusals())
	if w.finished && err == nil {
		return nil
	}
	return &UndeliveredError{Series: w.reg.countDirty(), Batches: int(w.queued.Load()), Err: err}
}

// left describes what a caller gives up waiting for, and the trouble behind it.
func (w *writer) left(err error) error {
	if trouble := w.trouble.Load(); trouble != nil {
		err = fmt.Errorf("%w; the last trouble was: %w", err, *trouble)
	}
	return &UndeliveredError{Series: w.reg.countDirty(), Batches: int(w.queued.Load()), Err: err}
}
