// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	registersPerCall = 256
	// callWeight bounds a pipeline, in scalars; a batch by itself costs as much
	// as batchCost of them. A long pipeline lets Redis work while the client writes.
	// Other clients hardly wait for it: Redis reads a connection's requests in pieces
	// of tens of KiB and serves others in between.
	callWeight = 32 * (batchWeight + batchCost)
	batchCost  = 16
	// callBytes bounds a pipeline on the fastest line; see wire.Pace. A request has some
	// headBytes beside its ops or its definition.
	callBytes = 32 * batchBytes
	headBytes = 300
	// maxRetries bounds how often a family may have to register or rewind in one
	// run before it counts as failed.
	maxRetries = 8
)

// flushRun brings everything that some families hold to Redis, in rounds: it renews
// the lease when that is due, registers the families that are new or in doubt, sends
// a pipeline of batches, and where none are left, the gauges. The answers only
// change state (see answers.go); the next round does what they ask for. What cannot be
// delivered stays for the next run.
type flushRun struct {
	w        *writer
	families []*familyRun

	unsent int    // the families before this one have nothing to send
	doubts uint64 // the writer's when the families were looked through for those to register

	refused   wire.Causes // why Redis refused families
	gaugesErr error       // why the gauges are not sent again in this run
	silence   error       // of the first request without an answer
	broken    error       // why the run ends early: no server answers, or the writer takes another identity
	another   error       // why the writer takes another identity, if it does

	gaugesLost bool // Redis asked for all of them again: they are sent again at most once a run
	delivered  bool // nothing is left to send: a further round only renews the lease
}

// familyRun is a family in a flush run.
type familyRun struct {
	*family
	frozen  bool // what gathered was frozen, which happens once a run
	failed  bool // Redis refused it or did not answer: it is not tried again in this run
	retries int
	cleared bool // expired values were removed, which happens once a run
}

// runFlush makes a flush run of these families.
func (w *writer) runFlush(families []*family) error {
	return w.makeRun(families, func(r *flushRun) {
		for r.round() {
		}
	})
}

// verify registers those of these families that are in doubt, and does no more: what Redis turns
// out to lack is sent by the next flush run.
func (w *writer) verify(families []*family) error { return w.makeRun(families, (*flushRun).register) }

func (w *writer) makeRun(families []*family, do func(*flushRun)) error {
	if len(families) == 0 {
		return nil
	}
	r := &flushRun{w: w, families: make([]*familyRun, len(families))}
	runs := make([]familyRun, len(families)) // in one piece
	for i, f := range families {
		runs[i].family = f
		r.families[i] = &runs[i]
	}
	defer w.publish()
	defer w.reg.tellDamage(valuesReplaced, keysReplaced, namesTaken)
	w.trimKept() // what is too old to be safe must not be sent again
	do(r)
	if r.another != nil {
		w.becomeAnother(r.another)
	}
	w.trimKept()
	return r.err()
}

// round does what is due, one step after the other. It reports whether there is more
// to do.
func (r *flushRun) round() (more bool) {
	w := r.w
	if err := w.heartbeat(time.Now()); err != nil {
		if !r.delivered {
			r.broken = err
		}
		return false
	}
	r.register()
	more = r.broken == nil && r.commit()
	if r.broken == nil && !more {
		more = r.makeRoom()
	}
	if r.broken == nil && !more {
		r.mark()
	}
	if r.broken == nil && !more && r.gaugesErr == nil {
		w.showBacklog() // in gauges, which are sent next
		more = r.sendGauges()
	}
	if r.broken != nil || r.another != nil {
		return false
	}
	r.delivered = !more && r.doubts == w.doubts
	if !r.delivered {
		return true
	}
	// While this lease says that something may be missing, all pages wait. So it is
	// renewed now, although Redis may refuse a family for ever, and before the callers
	// of Flush return: a serverless process may be frozen then. But not because its time
	// has come: where a heartbeat takes longer than the time between two, the run would
	// never end.
	return w.confirmLineage() && w.lease.asked()
}

// toRegister says whether the family is to be registered and can be.
func (r *flushRun) toRegister(f *familyRun) bool {
	o := &f.out
	return (o.generation == "" || o.unverified) && !f.failed && !time.Now().Before(o.retryAt)
}

// register registers the families that are not registered, or perhaps no longer. It looks for
// them in the first round, and then only if there may be others.
func (r *flushRun) register() {
	if r.doubts == r.w.doubts {
		return
	}
	r.doubts = r.w.doubts
	r.unsent = 0
	var list []*familyRun
	for _, f := range r.families {
		switch {
		case r.toRegister(f):
			list = append(list, f)
		case f.out.refused != nil && time.Now().Before(f.out.retryAt):
			f.failWaiters(f.out.refused)
		}
	}
	for len(list) > 0 && r.broken == nil {
		n, bytes := 0, 0
		for _, f := range list {
			if bytes += registrationBytes(&f.def); n == registersPerCall || n > 0 && bytes > r.w.pace.Bytes() {
				break
			}
			n++
		}
		r.registerSome(list[:n])
		list = list[n:]
	}
}

// registrationBytes is about how many bytes the registration of a family has.
func registrationBytes(d *definition) int {
	const bound = 8
	return headBytes + 4*len(d.name) + len(d.help) + bound*len(d.upper)
}

// registerSome registers families in one call.
func (r *flushRun) registerSome(list []*familyRun) {
	w, bytes := r.w, 0
	regs := make([]wire.Registration, len(list))
	for i, f := range list {
		regs[i] = wire.Registration{
			Family: f.def.name, Writer: w.id, Nonce: newNonce(), Born: w.born, Definition: f.def.wire(w.opts.Retention),
		}
		bytes += registrationBytes(&f.def)
	}
	ctx, cancel := w.callContext()
	defer cancel()
	before, begun := w.lineage.seen, time.Now()
	replies := w.store.Register(ctx, regs)
	w.sent(bytes, begun, replies[len(replies)-1].Err)
	// If a family has another generation than before, the lineage tells why. What was answered
	// before the last such family may have been lost since.
	var unknown error
	lost := -1
	for i, reply := range replies {
		if list[i].out.replaced(reply) {
			lost = i
		}
	}
	if lost >= 0 {
		unknown = w.readLineage()
	}
	anew := false
	for i, reply := range replies {
		if unknown != nil && list[i].out.replaced(reply) {
			r.fail(list[i], fmt.Errorf("shoal: reading the lineage: %w", unknown))
			continue
		}
		if i == lost {
			w.doubt()
		}
		anew = r.handleRegistration(list[i], reply, before) || anew
	}
	if anew { // Redis lost a family; assume that it lost our gauges too
		w.gauges.resendAll()
		w.doubtGauges()
	}
	if w.lineage.seen != before {
		w.doubtFamilies() // Redis may have answered before it changed
	}
	r.heard(slices.ContainsFunc(replies, func(r wire.RegisterReply) bool { return answered(r.Err) }))
}

// commit sends one pipeline of batches. It reports whether it did.
func (r *flushRun) commit() bool {
	w := r.w
	commits, owners, bytes := r.pipeline()
	if len(commits) == 0 {
		return false
	}
	ctx, cancel := w.callContext()
	defer cancel()
	before, begun := w.lineage.seen, time.Now()
	replies := w.store.Commit(ctx, commits)
	w.sent(bytes, begun, replies[len(replies)-1].Err)
	if slices.ContainsFunc(replies, func(r wire.CommitReply) bool { return r.Err == nil && r.Status == wire.CommitGap }) {
		// Redis has stepped back.
		if w.readLineage() != nil {
			w.lease.renewNow() // the heartbeat of the next round reads it
		}
	}
	for from := 0; from < len(replies); {
		to := from + 1
		for to < len(replies) && owners[to] == owners[from] {
			to++
		}
		r.handleCommits(owners[from], replies[from:to], before)
		from = to
	}
	r.heard(slices.ContainsFunc(replies, func(r wire.CommitReply) bool { return answered(r.Err) }))
	return true
}

// pipeline gathers the batches of one pipeline, the family of each, and how many bytes they have,
// about. When the turn of a family comes that has none left, it is frozen, once a run.
func (r *flushRun) pipeline() (commits []wire.Commit, owners []*familyRun, bytes int) {
	w, weight := r.w, 0
	for _, f := range r.families[r.unsent:] {
		o := &f.out
		sending := f.shared() && !f.failed && o.generation != "" && o.refused == nil
		if sending && len(o.queue) == 0 && !f.frozen {
			if err := w.freeze(f.family); err != nil {
				r.fail(f, err)
				continue
			}
			f.frozen = true
		}
		if !sending || len(o.queue) == 0 {
			if len(commits) == 0 {
				r.unsent++
			}
			continue
		}
		for i, b := range o.queue {
			costs, size := b.weight+batchCost, b.size+headBytes
			if len(commits) > 0 && (weight+costs > callWeight || bytes+size > w.pace.Bytes()) {
				return commits, owners, bytes
			}
			weight, bytes = weight+costs, bytes+size
			commits = append(commits, wire.Commit{
				Family: f.def.name, Generation: o.generation, Writer: w.id, Prev: o.prev(i), Seq: b.seq,
				Limit: f.limit(), Overflow: b.overflow,
				Totals: len(b.waiters) > 0, Again: b.inDoubt, Ops: b.ops,
			})
			owners = append(owners, f)
			o.send()
		}
	}
	return commits, owners, bytes
}
