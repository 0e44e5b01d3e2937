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

var errChanging = errors.New("Redis keeps changing its mind about the data: is another copy of this process running?")

// answered says whether Redis answered a request, be it with a refusal.
func answered(err error) bool { return err == nil || wire.Answered(err) }

// heard ends the run if nobody answered a call to Redis. Where somebody did, a
// Cluster has other masters that can be reached, and their families go on.
func (r *flushRun) heard(anybody bool) {
	if !anybody && r.broken == nil {
		r.broken = r.silence
	}
}

// fail notes that a family cannot go on in this run.
func (r *flushRun) fail(f *familyRun, err error) {
	f.failed = true
	f.out.damaged = wire.Damaged(err)
	if wire.Answered(err) {
		r.refuse(f, err)
	} else if r.silence == nil { // once: all families say the same
		r.silence = fmt.Errorf("shoal: Redis does not answer: %w", err)
	}
}

func (r *flushRun) refuse(f *familyRun, err error) {
	f.failed = true
	r.refused.Add(fmt.Sprintf("shoal: %s %q", f.def.kind, f.def.name), err)
}

// turn counts how often a family had to go back in this run. It reports whether it may
// go on.
func (r *flushRun) turn(f *familyRun) bool {
	if f.turns++; f.turns > maxTurns {
		r.refuse(f, errChanging)
		return false
	}
	return true
}

// registered takes in the answer to a registration, which was sent when the store was
// known to have the lineage before.
func (r *flushRun) registered(f *familyRun, reply wire.RegisterReply, before string) {
	w, o := r.w, &f.out
	switch {
	case reply.Err != nil:
		r.fail(f, reply.Err)
	case reply.Clash != "":
		if o.generation != "" {
			w.doubt()
			w.gauges.resendAll() // without the family's
		}
		o.clashed(&TypeClashError{Name: f.def.name, Requested: f.def.kind, Existing: wire.Cut(reply.Clash)}, time.Now().Add(reportEvery))
		w.reg.taken(f.family)
		f.failWaiters(o.refused)
	case reply.Last > o.newest:
		r.notOurs(f, reply.Last)
	case r.turn(f):
		lineage := before
		if o.replaced(reply) {
			lineage = w.lineage.seen // which was read since, to tell why
			w.doubt()
		}
		if !o.registered(reply, lineage) {
			return
		}
		if f.shared() {
			f.each((*series).touch) // the page shows what is known, counters from 0
			f.frozen = false
		}
		// Redis lost a family; assume that it lost our gauges too.
		w.gauges.resendAll()
		w.doubtGauges()
		o.unverified = false // this one was just answered
	}
}

// committed takes in the answers to a family's batches, which were sent when the store
// was known to have the lineage before. They run parallel to the head of the queue, from
// which acknowledged batches leave.
func (r *flushRun) committed(f *familyRun, replies []wire.CommitReply, before string) {
	o := &f.out
	sent := o.queue
	for i, reply := range replies {
		switch {
		case reply.Err != nil:
			for j, later := range replies[i:] {
				applied := later.Status == wire.CommitOK || later.Status == wire.CommitDuplicate
				if applied || later.Err != nil && !wire.Refused(later.Err) {
					sent[i+j].inDoubt = true
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
		case !r.turn(f):
			return
		case reply.Status == wire.CommitGap:
			o.rewind(reply.Last)
			return
		default:
			o.unverified = true
			return
		}
	}
}

// acknowledged moves the oldest batch of a family's queue to those that are kept, and
// answers those who wait for it.
func (w *writer) acknowledged(f *family, reply wire.CommitReply, lineage string) {
	b := f.out.acknowledge(time.Now(), lineage)
	for _, wt := range b.waiters {
		text := ""
		if wt.op < len(reply.Totals) {
			text = reply.Totals[wt.op]
		}
		wt.finish(text, nil)
	}
	b.waiters = nil
	if reply.Corrupt > 0 {
		w.reg.replaced(f, reply.Corrupt)
	}
	if reply.Overflowed > 0 {
		w.reg.overflowed(f, reply.Overflowed)
	}
}

// notOurs notes that Redis has a number of this writer that it never gave: another
// copy of this process writes under its identity, or the entry is damaged. The run
// goes no further. What was sent under the old identity is still taken in before the
// new one is assumed.
func (r *flushRun) notOurs(f *familyRun, last uint64) {
	f.failed = true
	r.another = errCloned
	if last == wire.MaxSequence {
		r.another = errNumber
		r.w.reg.self.corrupt.Inc()
	}
	r.broken = r.another
}

// becomeAnother takes a new identity. Where this process runs twice, as after a
// snapshot of a virtual machine, the other one goes on with the old one. Else
// nobody does, so that the lease and its gauges are given back; if that fails, they
// end by themselves.
func (w *writer) becomeAnother(reason error) {
	if w.lease.held && errors.Is(reason, errNumber) {
		ctx, cancel := w.callContext()
		_ = w.store.Release(ctx, w.id, w.lease.index)
		cancel()
		if wanted := w.opts.Index; wanted != nil && *wanted == w.lease.index {
			w.lease.hadWanted = false // nobody has fenced us off from it
		}
	}
	w.id = newID()
	w.schedule.jitter = newJitter(w.id)
	w.lease.lose()
	w.gauges.resendAll()
	for _, f := range *w.reg.families.Load() {
		f.out.cloned()
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
