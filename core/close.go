// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
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

// finish is the goroutine's last work: it delivers what is left, then releases the lease and
// removes the gauges. It tries until that is done or the context ends.
func (w *writer) finish(ctx context.Context) {
	w.requests.collect()
	w.lease.renewNow() // reads the lineage: the last chance to notice that Redis stepped back
	for !w.flush(alongsideUnasked) || !w.confirmLineage() || !w.replicated() {
		if !w.pause(ctx) {
			w.answer(ErrClosed)
			return
		}
	}
	w.answer(nil)
	for w.lastErr = w.release(); w.lastErr != nil; w.lastErr = w.release() {
		if !w.pause(ctx) {
			return
		}
	}
	w.finished = true
}

// replicated waits, for replicaTimeout at most, until replicas have what this process wrote:
// after Close no writer would send it again. It reports false if Redis has just stepped back, so
// that there is something to send again.
func (w *writer) replicated() bool {
	var list []wire.Commit
	for _, f := range *w.reg.families.Load() {
		if o := &f.out; o.acked > 0 && o.generation != "" {
			list = append(list, wire.Commit{
				Family: f.def.name, Generation: o.generation, Writer: w.id, Prev: o.acked, Seq: o.acked,
			})
		}
	}
	ctx, cancel := w.callContext()
	defer cancel()
	n, err := w.store.AwaitReplicas(ctx, list, replicaTimeout)
	switch {
	case errors.Is(err, wire.ErrSteppedBack):
		w.lease.renewNow()
		w.doubtFamilies() // the lineage need not tell
		return false
	case err == nil && n == 0:
		w.replication = nil
	default:
		w.replication = &ReplicationError{Servers: n, Err: err}
	}
	return true
}

// pause waits before the next try. It reports whether there is time for one.
func (w *writer) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(minBackoff + w.schedule.jitter.below(minBackoff)):
		return true
	}
}

func (w *writer) release() error {
	if w.lease.index < 0 {
		return nil
	}
	ctx, cancel := w.callContext()
	defer cancel()
	if err := w.store.Release(ctx, w.id, w.lease.index); err != nil {
		return fmt.Errorf("shoal: giving back the index: %w", err)
	}
	return nil
}

// undelivered is the error of Close, nil if everything was delivered and replicated. It may be
// called once the goroutine has ended.
func (w *writer) undelivered() error {
	err := wire.Join(w.lastErr, w.refusals())
	if w.finished && err == nil {
		return w.replication
	}
	return &UndeliveredError{Series: w.reg.countDirty(), Batches: int(w.backlog.queued.Load()), Err: err}
}

// left is the error of a caller that gives up waiting: what is not delivered yet, and the writer's
// last trouble.
func (w *writer) left(err error) error {
	if trouble := w.trouble.Load(); trouble != nil {
		err = fmt.Errorf("%w; the last trouble was: %w", err, *trouble)
	}
	return &UndeliveredError{Series: w.reg.countDirty(), Batches: int(w.backlog.queued.Load()), Err: err}
}
