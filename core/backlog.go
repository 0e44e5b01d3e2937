// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"errors"
	"time"
)

// backlog sums up the outboxes of all families. The writer enters each change of an outbox, so
// that neither a pipeline nor a synchronous write costs a walk through families that have nothing
// to do with it.
type backlog struct {
	waiting []*family // those with batches that are not acknowledged, and some that have none any more
	losing  []*family // those that lost batches which are not counted yet

	size  int         // bytes of all kept batches
	kept  []keptBatch // in the order of their acknowledgement; some are not kept any more
	place uint64      // of the batch that was acknowledged last

	republish bool // a generation that pages should know has changed
}

// keptBatch is a batch that was acknowledged. It is not kept any more if the oldest that its family
// keeps has another place: it was given up, or sent again, which gave it a second place.
type keptBatch struct {
	family *family
	place  uint64 // of the batch in the order of acknowledgement, over all families
}

// entered is what the backlog has of a family.
type entered struct {
	size       int
	waiting    bool   // it is in waiting
	losing     bool   // it is in losing
	generation string // for pages
}

// enter brings the backlog up to date with a family's outbox. Call it after each change.
func (b *backlog) enter(f *family) {
	o, was := &f.out, &f.entered
	b.size += o.size - was.size
	was.size = o.size
	if len(o.queue) > 0 && !was.waiting {
		was.waiting = true
		b.waiting = append(b.waiting, f)
	}
	if o.lost != nil && !was.losing {
		was.losing = true
		b.losing = append(b.losing, f)
	}
	if g := f.shownGeneration(); g != was.generation {
		was.generation, b.republish = g, true
	}
}

// shownGeneration is the generation that a page of this process must have of the family; empty if
// it may lack the family.
func (f *family) shownGeneration() string {
	if f.out.damaged {
		return ""
	}
	return cmp.Or(f.out.generation, f.out.had)
}

// acknowledged notes that the family's outbox keeps one more batch.
func (b *backlog) acknowledged(f *family, one *batch) {
	b.place++
	one.place = b.place
	b.kept = append(b.kept, keptBatch{f, b.place})
}

// eachWaiting calls do for the families with batches that are not acknowledged.
func (b *backlog) eachWaiting(do func(*family)) {
	n := 0
	for _, f := range b.waiting {
		if len(f.out.queue) == 0 {
			f.entered.waiting = false
			continue
		}
		b.waiting[n] = f
		n++
		do(f)
	}
	clear(b.waiting[n:])
	b.waiting = b.waiting[:n]
}

// trim bounds the batches that are kept in case Redis steps back: by their age, and over all
// families by their bytes, where the oldest go first. It also drops those that were in doubt for
// too long.
func (b *backlog) trim(now time.Time) {
	b.eachWaiting(func(f *family) {
		f.out.expire(now)
		b.enter(f)
	})
	for len(b.kept) > 0 {
		f, place := b.kept[0].family, b.kept[0].place
		if f.out.oldestPlace() == place {
			f.out.expire(now)
			b.enter(f)
		}
		if f.out.oldestPlace() == place {
			if b.size <= keepBytes {
				return
			}
			f.out.forget()
			b.enter(f)
		}
		b.kept = b.kept[1:]
	}
}

// trimKept trims the backlog, and counts what was lost.
func (w *writer) trimKept() {
	w.backlog.trim(time.Now())
	w.countLost()
}

// showBacklog sets the gauges that show how far behind the writer is.
func (w *writer) showBacklog() {
	batches, oldest, now := 0, time.Duration(0), time.Now()
	w.backlog.eachWaiting(func(f *family) {
		batches += len(f.out.queue)
		oldest = max(oldest, age(f.out.queue[0].frozen, now))
	})
	w.reg.self.pendingBatches.setUnlessZero(float64(batches))
	w.reg.self.pendingAge.setUnlessZero(oldest.Seconds())
}

// countLost counts what the families have lost since the last time, and reports it, once for each
// reason. Batches of shoal's own metrics do not count.
func (w *writer) countLost() {
	families := w.backlog.losing
	w.backlog.losing = nil
	for _, reason := range lossReasons {
		batches, names := 0, []string(nil)
		for _, f := range families {
			if n := f.out.lost[reason]; n > 0 && !f.def.cadence.own() {
				batches += n
				names = append(names, f.def.name)
			}
		}
		if batches == 0 {
			continue
		}
		w.reg.self.lost.WithLabelValues(reason).Add(float64(batches))
		w.reg.report("lost "+reason, errors.New(lossText(reason, batches, names)))
	}
	for _, f := range families {
		f.out.lost, f.entered.losing = nil, false
	}
}
