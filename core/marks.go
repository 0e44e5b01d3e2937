// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	// marksPerCall bounds a pipeline of marks, of which each takes Redis less than 1 ms.
	marksPerCall = 16
	// sweepPause is the time between two looks for children whose series somebody deleted.
	// In a large fleet each look of each process costs Redis.
	sweepPause = 5 * time.Minute
	// lookPause is the time after a look before a full table is looked through again, for each
	// child. A child costs Redis 4 µs. Where every request has new label values, a table is full
	// again after each flush.
	lookPause = time.Millisecond
)

// holding is what a family knows of the marks in Redis, by which its processes keep their
// series: see docs/protocol.md, Marks. It belongs to the writer goroutine.
type holding struct {
	due     bool      // this process's series are to be marked
	epoch   string    // in which they were marked last
	removed string    // when a series was removed last, as known when they were marked
	marked  time.Time // when they were marked
	lookAt  time.Time // when a full table may be looked through again
	vain    bool      // a look made no room, and is not tried again before the refresh
}

// learn takes what the answer to a registration tells.
func (h *holding) learn(reply wire.RegisterReply) {
	if h.epoch == "" { // all of this process's series are new: their first batches mark them
		h.epoch, h.removed = reply.Epoch, reply.Removed
	}
	if reply.Epoch != h.epoch || reply.Removed != h.removed && time.Since(h.marked) > sweepPause {
		h.epoch, h.removed, h.due = reply.Epoch, reply.Removed, true
	}
}

// marking is one call that marks some series of a family.
type marking struct {
	family *familyRun
	series []*series
	held   int // in the last one of a family: how many series they have together
}

// mark notes in Redis that this process holds its series, in each family where that is due.
// The answers tell which series are gone: their children leave the table. A failure is no
// failure of the flush: the next refresh tries again.
func (r *flushRun) mark() {
	var list []marking
	for _, f := range r.families {
		h := &f.out.holding
		if f.shared() && f.crowded() && !h.vain && due(h.lookAt, time.Now()) {
			h.due = true
		}
		// What waits to be sent, or may have to be sent again, brings series that are not there yet.
		if !h.due || !f.shared() || f.failed || f.out.generation == "" || f.out.unverified || len(f.out.queue) > 0 {
			continue
		}
		var held []*series
		f.each(func(s *series) { held = append(held, s) })
		held = wire.ByBucket(held, func(s *series) string { return s.field })
		for part := range slices.Chunk(held, wire.MaxMarked) {
			list = append(list, marking{f, part, 0})
		}
		if len(held) == 0 {
			h.done(f.family, 0)
		} else {
			list[len(list)-1].held = len(held)
		}
	}
	for part := range slices.Chunk(list, marksPerCall) {
		if err := r.markSome(part); err != nil {
			r.w.reg.reportRedis("marks", fmt.Errorf("shoal: telling Redis which series this process holds: %w", err))
			return
		}
	}
}

// markSome sends one pipeline of marks.
func (r *flushRun) markSome(list []marking) error {
	marks := make([]wire.Mark, len(list))
	for i, m := range list {
		o := &m.family.out
		marks[i] = wire.Mark{
			Family: m.family.def.name, Generation: o.generation, Writer: r.w.id, Last: o.acked, Fields: make([]string, len(m.series)),
		}
		for n, s := range m.series {
			marks[i].Fields[n] = s.field
		}
	}
	ctx, cancel := r.w.callContext()
	defer cancel()
	var errs []error
	for i, reply := range r.w.store.Mark(ctx, marks) {
		f := list[i].family
		switch {
		case reply.Err != nil:
			f.failed = true // its further marks would not make up for these
			errs = append(errs, reply.Err)
		case reply.Unknown:
			f.out.unverified, f.failed = true, true
		default:
			f.drop(list[i].series, reply.Gone)
			if n := list[i].held; n > 0 && !f.failed {
				f.out.done(f.family, n)
			}
		}
	}
	return wire.Join(errs...)
}

// done notes that all children of the family, so many, are marked.
func (h *holding) done(f *family, held int) {
	h.due, h.marked, h.vain = false, time.Now(), f.crowded()
	h.lookAt = h.marked.Add(time.Duration(held) * lookPause)
}

// drop takes children out of the table whose series are gone and that have nothing to send.
// The next write through an old handle brings one back. What was acknowledged of them before
// is not sent again after a step back: it would bring back what was removed.
func (f *family) drop(list []*series, gone []int) {
	fields := make(map[string]bool, len(gone))
	for _, i := range gone {
		s := list[i]
		if s.dirty.Load() || s.overflow {
			continue
		}
		fields[s.field] = true
		if len(s.values) > 0 { // the one child of a metric without labels stays
			f.table.remove(s.hash, s.values)
			f.release(s)
		}
	}
	f.out.forgetSeries(fields)
}

// makeRoom removes the expired values of a Latest gauge that has reached its cap, and sends
// those again that found no room. Values that still find none are dropped and counted.
func (r *flushRun) makeRoom() (again bool) {
	for _, f := range r.families {
		o := &f.out
		n := o.turnedAway
		if n == 0 {
			continue
		}
		waiters := o.turnedAwayWaiters
		o.turnedAway, o.turnedAwayWaiters = 0, nil
		if f.def.expire > 0 && !o.vain && !f.failed && !f.cleared {
			f.cleared = true
			ctx, cancel := r.w.callContext()
			removed, err := r.w.store.RemoveExpired(ctx, f.def.name)
			cancel()
			r.w.reg.removed(removed)
			if err == nil && removed.Expired+removed.Idle > 0 {
				f.each((*series).touch)
				f.mu.Lock()
				f.waitOn(waiters...)
				f.mu.Unlock()
				f.frozen, again = false, true
				continue
			}
			o.vain = true // until the refresh
		}
		for range n {
			r.w.reg.reject(reasonBeyondCap, f.family)
		}
		for _, wt := range waiters {
			wt.finish("", beyondCap(f.family))
		}
	}
	return again
}
