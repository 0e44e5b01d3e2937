// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	// marksPerCall bounds a pipeline of marks, of which each takes Redis some 1 ms.
	marksPerCall = 16
	// markPause is the shortest time after which a process marks a family's series again
	// because series of the family were removed. Where series are deleted all the time, a
	// large fleet would otherwise mark all of its series at each refresh.
	markPause = 5 * time.Minute
	// crowdedPause, for each child, is the shortest time after which the children of a crowded
	// table are marked again, if the cap is reached. To mark one costs Redis 4 µs, and where every
	// request has new label values, a table is full again after each flush.
	crowdedPause = time.Millisecond
)

// holding is what a process knows of a family's marks in Redis, by which processes keep the
// series that they hold: see docs/protocol.md, Marks. It belongs to the writer goroutine.
type holding struct {
	due     bool      // this process's series are to be marked
	epoch   string    // in which they were marked last
	removed string    // the last removal of series that was known then
	marked  time.Time // when they were marked
	full    bool      // the cap has kept series of this process out of Redis since then
	again   time.Time // when they may be marked again since the table is crowded
	vain    bool      // marks, or a removal, made too little room: not tried again before the refresh
}

// hold notes since when this process holds a series, for the first batch with that series.
func (f *family) hold(s *series) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holdFrom(s, monotonicNow())
}

// holdFrom is hold for a caller that has locked mu.
func (f *family) holdFrom(s *series, moment int64) {
	if !f.shared() {
		return
	}
	if f.fresh == nil {
		f.fresh = map[*series]int64{}
	}
	f.fresh[s] = moment
}

// beginAnew makes the next batches bring all series back that Redis has lost, counters with 0.
// They begin when Redis was last known to have had them (seen): a page that waited for them
// may answer a request from before they were back.
func (f *family) beginAnew(seen int64) {
	f.each(func(s *series) {
		f.mu.Lock()
		if _, fresh := f.fresh[s]; !fresh {
			f.holdFrom(s, seen)
		}
		f.mu.Unlock()
		s.touch()
	})
}

// release forgets since when this process holds a series.
func (f *family) release(s *series) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.fresh, s)
}

// learn takes what the answer to a registration tells.
func (h *holding) learn(reply wire.RegisterReply) {
	if h.epoch == "" { // all of this process's series are new: their first batches mark them
		h.epoch, h.removed = reply.Epoch, reply.Removed
	}
	if reply.Epoch != h.epoch || reply.Removed != h.removed && time.Since(h.marked) > markPause {
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
	for list := r.markings(); len(list) > 0; {
		n, bytes := 0, 0
		for n < min(len(list), marksPerCall) && (n == 0 || bytes < r.w.pace.Bytes()) {
			bytes += list[n].bytes()
			n++
		}
		if err := r.markSome(list[:n], bytes); err != nil {
			r.w.reg.reportRedis("marks", fmt.Errorf("shoal: telling Redis which series this process holds: %w", err))
			return
		}
		list = list[n:]
	}
}

// bytes is about how many the call has.
func (m *marking) bytes() int {
	const words = 8 // of each field, beside itself
	bytes := headBytes
	for _, s := range m.series {
		bytes += len(s.field) + words
	}
	return bytes
}

// markings divides the series of the families that are due into calls.
func (r *flushRun) markings() (list []marking) {
	for _, f := range r.families {
		h := &f.out.holding
		if f.shared() && f.crowded() && !h.vain && due(h.again, time.Now()) {
			h.due = true
		}
		// What waits to be sent, or may have to be sent again, brings series that are not there yet.
		if !h.due || !f.shared() || f.failed || f.out.generation == "" || f.out.unverified || len(f.out.queue) > 0 {
			continue
		}
		var held []*series
		f.each(func(s *series) { held = append(held, s) })
		if len(held) == 0 {
			h.done(f.family, 0)
			continue
		}
		held = wire.ByBucket(held, func(s *series) string { return s.field })
		for part := range slices.Chunk(held, wire.MaxMarked) {
			list = append(list, marking{f, part, 0})
		}
		list[len(list)-1].held = len(held)
	}
	return list
}

// markSome sends one pipeline of marks.
func (r *flushRun) markSome(list []marking, bytes int) error {
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
	begun := time.Now()
	replies := r.w.store.Mark(ctx, marks)
	r.w.sent(bytes, begun, replies[len(replies)-1].Err)
	var errs []error
	for i, reply := range replies {
		f := list[i].family
		switch {
		case reply.Err != nil:
			f.failed = true // so that its last call does not say that all are marked
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
	if h.full {
		h.again = h.marked.Add(time.Duration(held) * crowdedPause)
	}
	h.full = false
}

// drop takes those children out of the table whose series are gone and that have nothing to
// send. The next write through an old handle brings one back. The kept batches forget these
// series: sent again after a step back, they would bring back what was removed.
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

// makeRoom removes the expired values of each Latest gauge that has reached its cap. If any
// went, the gauge's values are sent again; else those beyond the cap are dropped and counted. In a
// large family, a run does a part of that, and those beyond the cap wait for the next ones.
func (r *flushRun) makeRoom() (again bool) {
	for _, f := range r.families {
		o := &f.out
		if o.beyondCap == 0 || o.sweep != nil && f.swept {
			continue
		}
		if f.failed {
			o.sweep = nil
		}
		made := f.def.expire > 0 && !o.vain && !f.failed && !f.swept && r.sweep(f)
		if o.sweep != nil {
			r.unfinished = true
			continue
		}
		n, waiters := o.beyondCap, o.beyondCapWaiters
		o.beyondCap, o.beyondCapWaiters = 0, nil
		if made {
			f.each((*series).touch)
			f.mu.Lock()
			f.waitOn(waiters...)
			f.mu.Unlock()
			f.frozen, again = false, true
			r.unsent = 0
			continue
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

// sweep goes on with the removal of the expired values of a gauge. If it is done then, sweep
// reports whether any went.
func (r *flushRun) sweep(f *familyRun) (made bool) {
	o := &f.out
	s := o.sweep
	if s == nil {
		s = &wire.Sweep{Family: f.def.name}
	}
	f.swept, o.sweep = true, nil
	before := s.Removed
	ctx, cancel := r.w.callContext()
	err := r.w.store.RemoveExpired(ctx, s)
	cancel()
	r.w.reg.removed(wire.Removed{Idle: s.Idle - before.Idle, Expired: s.Expired - before.Expired})
	switch {
	case err == nil && !s.Done:
		o.sweep = s
		return false
	case err == nil && s.Expired+s.Idle > 0:
		return true
	}
	o.vain = true // until the refresh
	return false
}
