// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	errCloned = errors.New("shoal: Redis has batches or gauges of this writer that it never sent: " +
		"the process was cloned; it goes on under a new identity")
	errNumber = errors.New("shoal: Redis holds something else in place of the number of this writer's last batch: " +
		"the writer goes on under a new identity; who else can write the keys of this app?")
)

var errChanging = errors.New("Redis contradicts its own answers again and again: is another copy of this process running?")

// answered says whether Redis answered a request, even if it refused it.
func answered(err error) bool { return err == nil || wire.Answered(err) }

// heard ends the run if no server answered any request of a call. If one did, the run goes on:
// in a Cluster, the families of other masters can be sent.
func (r *flushRun) heard(anyAnswer bool) {
	if !anyAnswer && r.broken == nil {
		r.broken = r.silence
	}
}

// fail notes that a family cannot go on in this run.
func (r *flushRun) fail(f *familyRun, err error) {
	f.failed = true
	f.out.damaged = wire.Damaged(err)
	r.w.backlog.enter(f.family)
	if wire.Answered(err) {
		r.refuse(f, err)
	} else if r.silence == nil { // once: it is the same for all families
		r.silence = fmt.Errorf("shoal: Redis does not answer: %w", err)
	}
}

func (r *flushRun) refuse(f *familyRun, err error) {
	f.failed = true
	r.refused.Add(fmt.Sprintf("shoal: %s %q", f.def.kind, f.def.name), err)
}

// mayRetry counts the registrations and rewinds of a family in this run. It reports whether the
// family may go on.
func (r *flushRun) mayRetry(f *familyRun) bool {
	if f.retries++; f.retries > maxRetries {
		r.refuse(f, errChanging)
		return false
	}
	return true
}

// handleRegistration handles the answer to a registration, which was sent when Redis was known to
// have the lineage before. It reports whether Redis may lack what it had of the family.
func (r *flushRun) handleRegistration(f *familyRun, reply wire.RegisterReply, before string) (anew bool) {
	w, o := r.w, &f.out
	defer w.backlog.enter(f.family)
	switch {
	case reply.Err != nil:
		r.fail(f, reply.Err)
	case reply.Clash != "":
		if o.generation != "" {
			w.doubt()
			w.gauges.resendAll() // without those of this family
		}
		o.clashed(&TypeClashError{Name: f.def.name, Requested: f.def.kind, Existing: wire.Cut(reply.Clash)}, time.Now().Add(reportEvery))
		w.reg.taken(f.family)
		f.failWaiters(o.refused)
	case reply.Last > o.newest:
		r.notOurs(f, reply.Last)
	case r.mayRetry(f):
		lineage := before
		if o.replaced(reply) {
			lineage = w.lineage.seen // which was read since, to tell why
		}
		seen := w.lastSeen(f.family)
		anew = o.registered(reply, lineage)
		if anew && f.shared() {
			f.beginAnew(seen) // so that the page has all its series again, counters from 0
			f.frozen = false
		}
	}
	return anew
}

// handleCommits handles the answers to the first batches of a family's queue, in their order.
// They were sent when Redis was known to have the lineage before. Acknowledged batches
// leave the queue meanwhile.
func (r *flushRun) handleCommits(f *familyRun, replies []wire.CommitReply, before string) {
	o := &f.out
	defer r.w.backlog.enter(f.family)
	defer o.answered()
	sent := o.queue
	for i, reply := range replies {
		switch {
		case reply.Err != nil:
			for j, later := range replies[i:] {
				applied := later.Status == wire.CommitOK || later.Status == wire.CommitDuplicate
				if applied || later.Err != nil && !wire.Refused(later.Err) {
					o.doubt(sent[i+j])
				}
			}
			r.fail(f, reply.Err)
			return
		case reply.Status == wire.CommitOK, reply.Status == wire.CommitDuplicate:
			if reply.Last > o.newest {
				r.notOurs(f, reply.Last)
				return
			}
			r.w.acknowledged(f.family, reply, before)
		case !r.mayRetry(f):
			return
		case reply.Status == wire.CommitGap:
			o.rewind(reply.Last)
			return
		default:
			o.unverified = true
			r.w.doubts++
			return
		}
	}
}

// acknowledged moves the oldest batch of a family's queue to those that are kept, and
// answers those who wait for it.
func (w *writer) acknowledged(f *family, reply wire.CommitReply, lineage string) {
	b := f.out.acknowledge(time.Now(), lineage)
	w.backlog.acknowledged(f, b)
	// The answer for a duplicate does not say how much overflowed.
	b.spilled = b.spilled || reply.Overflowed > 0 || reply.Status == wire.CommitDuplicate
	for _, wt := range b.waiters {
		text := ""
		if wt.op < len(reply.Totals) {
			text = reply.Totals[wt.op]
		}
		if text == "" && reply.Overflowed > 0 && f.def.mode == Latest {
			f.out.beyondCapWaiters = append(f.out.beyondCapWaiters, wt)
			continue
		}
		wt.finish(text, nil)
	}
	b.waiters = nil
	if reply.Corrupt > 0 {
		w.reg.replaced(f, reply.Corrupt)
	}
	f.out.full = f.out.full || reply.Overflowed > 0
	switch {
	case reply.Overflowed == 0:
	case f.def.mode == Latest:
		f.out.beyondCap += reply.Overflowed
	default:
		w.reg.overflowed(f, reply.Overflowed)
	}
	w.reg.countRemoved(removedDeleted, reply.Removed)
}

// notOurs notes that Redis has a sequence number that this writer never gave: another copy of
// this process writes under its identity, or the entry is damaged. The run ends, and the writer
// takes a new identity once it has handled the answers to all that it sent under the old one.
func (r *flushRun) notOurs(f *familyRun, last uint64) {
	f.failed = true
	r.another = errCloned
	if last == wire.MaxSequence {
		r.another = errNumber
		r.w.reg.self.corrupt.Inc()
	}
	r.broken = r.another
}

// becomeAnother gives the writer a new identity. If this process was cloned, as by a snapshot of
// a virtual machine, the other copy goes on under the old identity. If the entry was damaged,
// nobody does: then the writer releases the lease and its gauges. If that fails, they expire.
func (w *writer) becomeAnother(reason error) {
	if w.lease.held && errors.Is(reason, errNumber) {
		ctx, cancel := w.callContext()
		_ = w.store.Release(ctx, w.id, w.lease.index)
		cancel()
		if wanted := w.opts.Index; wanted != nil && *wanted == w.lease.index {
			w.lease.hadWanted = false // no other process took it: ask for it again
		}
	}
	w.id = newID()
	w.schedule.jitter = newJitter(w.id)
	w.lease.lose()
	w.gauges.resendAll()
	for _, f := range *w.reg.families.Load() {
		f.out.cloned()
		w.backlog.enter(f)
	}
}

// failWaiters answers every synchronous caller of the family.
func (f *family) failWaiters(err error) {
	f.mu.Lock()
	waiters := f.waiters
	f.waiters = nil
	f.mu.Unlock()
	for _, wt := range waiters {
		wt.finish("", err)
	}
	for _, b := range f.out.queue {
		b.finish("", err)
	}
}

// err is what the run returns: why it ended early, which families Redis refused, and
// what became of the gauges.
func (r *flushRun) err() error {
	if r.broken == nil {
		r.broken = r.silence
	}
	return wire.Join(r.broken, r.refused.Err(), r.gaugesErr)
}
