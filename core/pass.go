// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	registersPerCall = 50
	// callWeight bounds a pipeline, in scalars; a batch by itself costs as much
	// as batchCost of them. A long pipeline keeps the server at work while the
	// client writes. Others wait for little of it: Redis takes in a connection's
	// requests in pieces of tens of KiB and serves everybody in between.
	callWeight = 32 * (batchWeight + batchCost)
	batchCost  = 16
	// maxTurns bounds how often a family may have to register or rewind in one
	// pass before it counts as failed.
	maxTurns = 8
)

// userFamily says whether a family is the user's: shoal's own change with every
// flush and must not cause the next one.
func userFamily(f *family) bool { return !f.def.self }

// untimedFamily says whether a family changes by more than flushes and scrapes.
func untimedFamily(f *family) bool { return !f.def.timing }

// active says whether a family that counts has something to send.
func (w *writer) active(counts func(*family) bool) bool {
	if w.gauges.full || w.gauges.refresh || w.reg.gaugesForgotten.Load() {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if counts(f) && (f.out.generation == "" || f.hasWork()) {
			return true
		}
	}
	return false
}

// hasWork says whether the family has something to send.
func (f *family) hasWork() bool {
	return f.anyDirty() || len(f.out.queue) > 0 || f.hasQueued()
}

func (f *family) hasQueued() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters) > 0 || f.deletions.len() > 0
}

// withWaiters lists the families that a synchronous caller waits for.
func (w *writer) withWaiters() []*family {
	var list []*family
	for _, f := range *w.reg.families.Load() {
		f.mu.Lock()
		if len(f.waiters) > 0 {
			list = append(list, f)
		}
		f.mu.Unlock()
	}
	return list
}

// pass brings everything that the families hold to Redis: it registers the
// new ones, sends what is frozen, freezes what gathered meanwhile, once, and
// sends that, and then the gauges. What it cannot deliver stays for the next.
func (w *writer) pass(ctx context.Context, families []*family) error {
	if len(families) == 0 {
		return nil
	}
	if err := w.heartbeat(time.Now()); err != nil {
		return err
	}
	defer w.publish()
	defer w.reg.tellDamage(valuesReplaced, keysReplaced, namesTaken)
	w.trimKept() // what is too old to be safe must not be sent again
	p := &pass{w: w, ctx: ctx, failed: map[*family]bool{}, frozen: map[*family]bool{}, turns: map[*family]int{}}
	p.register(families)
	for _, f := range families {
		if f.shared() {
			p.todo = append(p.todo, f)
		}
	}
	for p.broken == nil && p.round() {
	}
	if p.another != nil {
		w.becomeAnother(p.another)
	}
	w.trimKept()
	w.gaugePending()
	if p.broken == nil {
		p.note(w.sendGauges(ctx, families))
		p.register(families) // those that turned out to be in doubt
	}
	if p.broken == nil {
		p.broken = p.silence
	}
	return wire.Join(p.broken, p.causes.Err(), wire.Join(p.errs...))
}

// pass is the state of one run of [writer.pass].
type pass struct {
	w       *writer
	ctx     context.Context
	todo    []*family        // with cumulative values
	frozen  map[*family]bool // froze what gathered: once a pass
	failed  map[*family]bool // refused by Redis: not again in this pass
	turns   map[*family]int
	causes  wire.Causes // for which families were refused
	errs    []error
	silence error // the first request without an answer
	broken  error // nothing can be reached: no use in going on
	looked  bool  // at the lineage, since the last answers of the store
	another error // why this process goes on under another identity, if it does
}

func (p *pass) note(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// fail notes that a family cannot go on in this pass.
func (p *pass) fail(f *family, err error) {
	p.failed[f] = true
	f.out.damaged = wire.Damaged(err)
	if wire.Answered(err) {
		p.causes.Add(fmt.Sprintf("shoal: %s %q", f.def.kind, f.def.name), err)
	} else if p.silence == nil { // once: all families say the same
		p.silence = fmt.Errorf("shoal: Redis does not answer: %w", err)
	}
}

// look reads the lineage if an answer shows that the store's data is another
// than before. It reports whether it is known, as far as the store tells.
func (p *pass) look(changed bool) bool {
	if !changed || p.looked {
		return true
	}
	if err := p.w.observe(p.ctx); err != nil {
		if p.silence == nil {
			p.silence = fmt.Errorf("shoal: reading the lineage: %w", err)
		}
		return false
	}
	p.looked = true
	return true
}

// called ends the pass if nobody answered a call to Redis. Where somebody did,
// a Cluster has other masters that can be reached, and their families go on.
func (p *pass) called(answered bool) {
	if !answered && p.silence != nil {
		p.broken = p.silence
	}
}

// register announces the families that are not registered or doubt that they
// still are.
func (p *pass) register(families []*family) {
	w, now := p.w, time.Now()
	var list []*family
	for _, f := range families {
		o := &f.out
		if o.refused != nil && now.Before(o.retryAt) {
			f.failWaiters(o.refused)
		}
		if (o.generation == "" || o.unverified) && !p.failed[f] && !now.Before(o.retryAt) {
			list = append(list, f)
		}
	}
	for ; len(list) > 0 && p.broken == nil; list = list[min(len(list), registersPerCall):] {
		chunk := list[:min(len(list), registersPerCall)]
		regs := make([]wire.Registration, len(chunk))
		for i, f := range chunk {
			regs[i] = wire.Registration{
				Family: f.def.name, Writer: w.id, Nonce: newNonce(), Born: w.born, Definition: f.def.wire(),
			}
		}
		ctx, cancel := context.WithTimeout(p.ctx, callTimeout)
		answered := false
		p.looked = false
		for i, r := range w.store.Register(ctx, regs) {
			answered = answered || r.Err == nil || wire.Answered(r.Err)
			p.registered(chunk[i], r)
		}
		cancel()
		p.called(answered)
	}
}

func (p *pass) registered(f *family, r wire.RegisterReply) {
	w, o := p.w, &f.out
	switch {
	case r.Err != nil:
		p.fail(f, r.Err)
	case r.Clash != "":
		if o.generation != "" {
			w.doubt()
			w.gauges.full = true // without the family's
		}
		o.clashed(&TypeClashError{Name: f.def.name, Requested: f.def.kind, Existing: wire.Cut(r.Clash)}, time.Now().Add(reportEvery))
		w.reg.taken(f)
		f.failWaiters(o.refused)
	case r.Last > o.newest:
		p.notOurs(f, r.Last)
	case !p.look(o.generation != "" && o.generation != r.Generation):
		p.fail(f, p.silence) // whether it was wiped or has stepped back is not known
	default:
		if o.generation != "" && o.generation != r.Generation {
			w.doubt()
		}
		if !o.registered(r, w.lineage.seen) {
			return
		}
		if f.shared() {
			f.each((*series).touch) // the page shows what is known, counters from 0
		}
		w.gauges.full = true // who lost one family may have lost the gauges
		for _, g := range w.ownGauges() {
			if g != f {
				g.out.unverified = true
			}
		}
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

// pipelineWeight is what a pipeline may weigh. After failures it is less: where the
// line is so narrow that a whole pipeline takes longer than the client waits,
// nothing would ever be acknowledged.
func (w *writer) pipelineWeight() int { return callWeight >> min(w.failures, 8) }

// round sends one pipeline of batches. It reports whether there may be more.
func (p *pass) round() bool {
	w := p.w
	if err := w.heartbeat(time.Now()); err != nil {
		p.broken = err
		return false
	}
	var commits []wire.Commit
	var owners []*family // parallel to commits
	weight := 0
	left := p.todo[:0]
	for _, f := range p.todo {
		o := &f.out
		if p.failed[f] || o.generation == "" || o.refused != nil {
			continue
		}
		if len(o.queue) == 0 && !p.frozen[f] {
			if err := w.freeze(p.ctx, f); err != nil {
				p.fail(f, err)
				continue
			}
			p.frozen[f] = true
		}
		if len(o.queue) == 0 && p.frozen[f] {
			continue
		}
		left = append(left, f)
		for i, b := range o.queue {
			if weight += b.weight + batchCost; len(commits) > 0 && weight > w.pipelineWeight() {
				break
			}
			commits = append(commits, wire.Commit{
				Family: f.def.name, Generation: o.generation, Writer: w.id, Prev: o.prev(i), Seq: b.seq,
				Limit: f.limit(), Overflow: b.overflow,
				Totals: len(b.waiters) > 0, Ops: b.ops,
			})
			owners = append(owners, f)
		}
	}
	p.todo = left
	if len(commits) == 0 || p.broken != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(p.ctx, callTimeout)
	defer cancel()
	p.looked = false
	replies := w.store.Commit(ctx, commits)
	defer p.called(slices.ContainsFunc(replies, func(r wire.CommitReply) bool {
		return r.Err == nil || wire.Answered(r.Err)
	}))
	for from := 0; from < len(replies); {
		to := from + 1
		for to < len(replies) && owners[to] == owners[from] {
			to++
		}
		p.replied(owners[from], replies[from:to])
		from = to
	}
	w.countQueued()
	return true
}

// replied handles the answers to a family's batches. They run parallel to the
// head of its queue, from which acknowledged batches leave.
func (p *pass) replied(f *family, replies []wire.CommitReply) {
	o := &f.out
	sent := o.queue
	for i, r := range replies {
		switch {
		case r.Err != nil:
			for j, later := range replies[i:] {
				applied := later.Status == wire.CommitOK || later.Status == wire.CommitDuplicate
				if applied || later.Err != nil && !wire.Refused(later.Err) {
					sent[i+j].inDoubt = true
				}
			}
			p.fail(f, r.Err)
			return
		case r.Status == wire.CommitOK, r.Status == wire.CommitDuplicate:
			if r.Last > o.newest {
				p.notOurs(f, r.Last)
				return
			}
			p.w.acknowledged(f, r)
		default:
			if p.turns[f]++; p.turns[f] > maxTurns {
				p.failed[f] = true
				p.causes.Add(fmt.Sprintf("shoal: %s %q", f.def.kind, f.def.name), errChanging)
				return
			}
			if r.Status == wire.CommitGap {
				p.look(true)
				o.rewind(r.Last)
			} else {
				o.unverified = true
				p.register([]*family{f})
			}
			return
		}
	}
}

// acknowledged settles the oldest batch of a family's queue.
func (w *writer) acknowledged(f *family, r wire.CommitReply) {
	b := f.out.acknowledge(time.Now(), w.lineage.seen)
	for _, wt := range b.waiters {
		text := ""
		if wt.op < len(r.Totals) {
			text = r.Totals[wt.op]
		}
		wt.finish(text, nil)
	}
	b.waiters = nil
	if r.Corrupt > 0 {
		w.reg.replaced(f, r.Corrupt)
	}
	if r.Overflowed > 0 {
		w.reg.overflowed(f, r.Overflowed)
	}
}

var errChanging = errors.New("Redis keeps changing its mind about the data: is another copy of this process running?")

var (
	errCloned = errors.New("shoal: Redis has batches or gauges of this writer that it never sent: " +
		"the process was cloned; it goes on under a new identity")
	errNumber = errors.New("shoal: Redis holds something else in place of the number of this writer's last batch: " +
		"the writer goes on under a new identity; who else can write the keys of this app?")
)

// notOurs notes that Redis has a number of this writer that it never gave: another
// copy of this process writes under its identity, or the entry is damaged. The pass
// goes no further; what is under way was sent under the old identity, so its answers
// are still taken in before the new one is assumed.
func (p *pass) notOurs(f *family, last uint64) {
	p.failed[f] = true
	p.another = errCloned
	if last == wire.MaxSequence {
		p.another = errNumber
		p.w.reg.self.corrupt.Inc()
	}
	p.broken = p.another
}

// becomeAnother takes a new identity. Where this process runs twice, as after a
// snapshot of a virtual machine, the other one goes on with the old one. Else
// nobody does, so that the lease and its gauges are given back; if that fails, they
// end by themselves.
func (w *writer) becomeAnother(reason error) {
	if w.lease.held && errors.Is(reason, errNumber) {
		ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
		_ = w.store.Release(ctx, w.id, w.lease.index)
		cancel()
		if wanted := w.opts.Index; wanted != nil && *wanted == w.lease.index {
			w.lease.hadWanted = false // nobody has fenced us off from it
		}
	}
	w.id = newID()
	w.jitter = newJitter(w.id)
	w.lease.lose()
	w.gauges.full = true
	for _, f := range *w.reg.families.Load() {
		f.out.cloned()
	}
}

// trimKept bounds what is kept for a store that steps back, in time and, over
// all families, in bytes; the oldest go first. It also counts what was lost.
func (w *writer) trimKept() {
	now, size := time.Now(), 0
	families := *w.reg.families.Load()
	for _, f := range families {
		f.out.expire(now)
		size += f.out.size
	}
	w.countLost(families)
	for size > keepBytes {
		var oldest *outbox
		for _, f := range families {
			if o := &f.out; len(o.kept) > 0 && (oldest == nil || o.kept[0].acked.Before(oldest.kept[0].acked)) {
				oldest = o
			}
		}
		size -= oldest.kept[0].size
		oldest.forget()
	}
}

// gaugePending shows how far behind the writer is.
func (w *writer) gaugePending() {
	batches, oldest, now := 0, time.Duration(0), time.Now()
	for _, f := range *w.reg.families.Load() {
		batches += len(f.out.queue)
		if len(f.out.queue) > 0 {
			oldest = max(oldest, age(f.out.queue[0].frozen, now))
		}
	}
	w.countQueued()
	w.reg.self.pendingBatches.setIfChanged(float64(batches))
	w.reg.self.pendingAge.setIfChanged(oldest.Seconds())
}

// countQueued counts the user's batches that wait for an answer. A Close that
// gives up asks at any moment.
func (w *writer) countQueued() {
	n := 0
	for _, f := range *w.reg.families.Load() {
		if !f.def.self {
			n += len(f.out.queue)
		}
	}
	w.queued.Store(int64(n))
}
