// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	// marksPerCall bounds a pipeline of marks.
	marksPerCall = 16
	// sweepPause is the time between two looks for children whose series somebody deleted.
	// In a large fleet each look of each process costs Redis.
	sweepPause = 5 * time.Minute
)

// holding is what a family knows of the marks in Redis, by which its processes keep their
// series: see docs/protocol.md, Marks. It belongs to the writer goroutine.
type holding struct {
	due     bool   // this process's series are to be marked
	epoch   string // in which they were marked last
	removed string // when a series was removed last, as known when they were marked
	marked  time.Time
	vain    bool // the table was still crowded after the last look, and is not looked through again until the refresh
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

// mark notes in Redis that this process holds its series, in each family where that is due.
// The answers tell which series are gone: their children leave the table. A failure is no
// failure of the flush: the next refresh tries again.
func (r *flushRun) mark() {
	for _, f := range r.families {
		h := &f.out.holding
		if f.crowded() && f.shared() && !h.vain {
			h.due = true
		}
		// What waits to be sent may bring series that are not there yet.
		if !h.due || !f.shared() || f.failed || f.out.generation == "" || len(f.out.queue) > 0 {
			continue
		}
		if err := r.w.mark(f.family); err != nil {
			r.w.reg.reportRedis("marks", fmt.Errorf("shoal: telling Redis which series this process holds: %w", err))
			if !answered(err) {
				return
			}
			continue
		}
		h.due, h.marked, h.vain = false, time.Now(), f.crowded()
	}
}

var errUnregistered = errors.New("the family has another generation")

// mark marks all children of a family.
func (w *writer) mark(f *family) error {
	var held []*series
	f.each(func(s *series) { held = append(held, s) })
	for len(held) > 0 {
		var marks []wire.Mark
		var owners [][]*series
		for len(held) > 0 && len(marks) < marksPerCall {
			part := held[:min(len(held), wire.MaxMarked)]
			held = held[len(part):]
			m := wire.Mark{Family: f.def.name, Generation: f.out.generation, Fields: make([]string, len(part))}
			for i, s := range part {
				m.Fields[i] = s.field
			}
			marks, owners = append(marks, m), append(owners, part)
		}
		ctx, cancel := w.callContext()
		replies := w.store.Mark(ctx, marks)
		cancel()
		for i, reply := range replies {
			switch {
			case reply.Err != nil:
				return reply.Err
			case reply.Unknown:
				f.out.unverified = true
				return errUnregistered
			}
			w.drop(f, owners[i], reply.Gone)
		}
	}
	return nil
}

// drop takes children out of the table whose series are gone and that have nothing to send.
// The next write through an old handle brings one back. What was acknowledged of them before
// is not sent again: it would bring back what was removed.
func (w *writer) drop(f *family, list []*series, gone []int) {
	fields := make(map[string]bool, len(gone))
	for _, i := range gone {
		s := list[i]
		if s.dirty.Load() || s.overflow {
			continue
		}
		fields[s.field] = true
		if len(s.values) > 0 { // the one child of a metric without labels stays
			f.table.remove(s.hash, s.values)
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
		o.turnedAway = 0
		if f.def.expire > 0 && !o.vain && !f.failed && !f.madeRoom {
			ctx, cancel := r.w.callContext()
			removed, err := r.w.store.RemoveExpired(ctx, f.def.name)
			cancel()
			r.w.reg.removed(removed)
			if err == nil && removed.Expired+removed.Idle > 0 {
				f.each((*series).touch)
				f.frozen, f.madeRoom, again = false, true, true
				continue
			}
			o.vain = true // until the refresh
		}
		for range n {
			r.w.reg.reject(reasonBeyondCap, f.family)
		}
	}
	return again
}
