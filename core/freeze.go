// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// drainer is a metric whose values are added up in Redis.
type drainer interface {
	// drain appends what was gathered since the last time, and forgets it.
	drain(dst []wire.Component) []wire.Component
}

// freeze gathers what a family has to say into batches: deletions first, since
// what was counted before them was dropped when they were asked for. Deltas
// are taken after the waiters, so that each waiter's is in this freeze or was
// in an earlier one. When it fails, everything stays where it was.
func (w *writer) freeze(ctx context.Context, f *family) error {
	if before := len(f.out.queue); !f.def.self {
		defer func() { w.queued.Add(int64(len(f.out.queue) - before)) }() // Close may ask while they are sent
	}
	f.mu.Lock()
	removals, waiters := f.removals, f.waiters
	f.removals, f.waiters = nil, nil
	f.mu.Unlock()

	p := packer{out: &f.out, now: time.Now(), weight: 1}
	if f.def.kind == wire.TypeHistogram {
		p.weight = vectorWeight
	}
	if left, err := w.freezeRemovals(ctx, &p, removals, f); err != nil {
		// Deltas may not overtake the deletion that they came after.
		f.mu.Lock()
		f.removals = append(left, f.removals...)
		f.waiters = append(waiters, f.waiters...)
		f.mu.Unlock()
		p.cut()
		return err
	}
	p.cut()

	wanted := make(map[*series][]*waiter, len(waiters))
	for _, wt := range waiters {
		wanted[wt.series] = append(wanted[wt.series], wt)
	}
	byField := map[string]bool{} // a series deleted and made anew can be here twice
	take := func(s *series) {
		detached := f.detached(s)
		f.mu.Lock()
		if f.deletedSince(s) {
			f.waiters = append(f.waiters, wanted[s]...)
			f.mu.Unlock()
			delete(wanted, s)
			s.touch() // it holds what came after the deletion, and must go after it
			return
		}
		op, ok := w.op(s, detached)
		f.mu.Unlock()
		if !ok {
			return
		}
		if byField[op.Field] {
			p.cut()
			clear(byField)
		}
		byField[op.Field] = true
		p.add(op, wanted[s])
		if p.batch == nil {
			clear(byField)
		}
		delete(wanted, s)
	}
	f.takeDirty(take)
	for s := range wanted {
		take(s) // its value went with an earlier freeze: ask for the total alone
	}
	for _, left := range wanted {
		for _, wt := range left {
			wt.finish("", nil)
		}
	}
	p.cut()
	return nil
}

// deletedSince says whether a deletion of the series has been asked for and is
// not frozen. The caller holds mu until it has drained the series, so that no
// deletion, with what is written after it, comes in between.
func (f *family) deletedSince(s *series) bool {
	return slices.ContainsFunc(f.removals, func(r removal) bool {
		return r.all || (r.match == nil && r.field == s.field) || (r.match != nil && fieldMatches(s.field, r.match))
	})
}

// op renders what a series has to say; detached is what the family says of it.
func (w *writer) op(s *series, detached bool) (wire.Op, bool) {
	if g, ok := s.metric.(*Gauge); ok {
		if g.state.Load() != gaugeSet {
			return wire.Op{}, false
		}
		at := g.at.Load()
		stamp := w.storeTime(at).UnixMicro()
		deadline := int64(0)
		if e := s.fam.def.expire; e > 0 {
			deadline = stamp + e.Microseconds()
		}
		text := formatGauge(g.value()) + " " + strconv.FormatInt(stamp, 10) + " " + strconv.FormatInt(deadline, 10)
		return wire.Op{Kind: wire.OpLatest, Field: s.field, Value: text}, true
	}
	w.vector = s.metric.(drainer).drain(w.vector[:0])
	if detached && !slices.ContainsFunc(w.vector, func(c wire.Component) bool { return c.Value != 0 }) {
		return wire.Op{}, false // deleted since it was touched: adding 0 would bring it back
	}
	w.text = wire.AppendVector(w.text[:0], w.vector)
	return wire.Op{Kind: wire.OpAdd, Field: s.field, Value: string(w.text)}, true
}

// freezeRemovals turns deletions into ops. Those by partial match ask Redis,
// once for all of them, which series there are; if that fails, it returns them.
func (w *writer) freezeRemovals(ctx context.Context, p *packer, removals []removal, f *family) (left []removal, err error) {
	deleted := map[string]bool{}
	remove := func(field string) {
		if !deleted[field] {
			deleted[field] = true
			p.add(wire.Op{Kind: wire.OpDelete, Field: field}, nil)
		}
	}
	var partial []removal
	for _, r := range removals { // their order does not matter: nothing is added in between
		switch {
		case r.all:
			p.add(wire.Op{Kind: wire.OpClear}, nil)
			p.cut()
		case r.match != nil:
			partial = append(partial, r)
		default:
			remove(r.field)
		}
	}
	if len(partial) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stored, err := w.store.ScanSeries(ctx, f.def.name)
	if err != nil {
		return partial, err
	}
	for _, s := range stored {
		labels, err := wire.DecodeField(s.Field)
		if err == nil && slices.ContainsFunc(partial, func(r removal) bool { return labelsMatch(labels, r.match) }) {
			remove(s.Field)
		}
	}
	return nil, nil
}

// packer cuts ops into batches.
type packer struct {
	out    *outbox
	now    time.Time
	weight int // of an op
	batch  *batch
	load   int
}

func (p *packer) add(op wire.Op, waiters []*waiter) {
	if p.batch == nil {
		p.batch = &batch{frozen: p.now}
	}
	b := p.batch
	for _, w := range waiters {
		w.op = len(b.ops)
	}
	b.ops = append(b.ops, op)
	b.waiters = append(b.waiters, waiters...)
	b.size += len(op.Field) + len(op.Value) + 48
	p.load += p.weight
	if p.load >= batchWeight || b.size >= batchBytes {
		p.cut()
	}
}

// cut ends the batch at hand, if there is one.
func (p *packer) cut() {
	if p.batch != nil {
		p.out.push(p.batch)
		p.batch, p.load = nil, 0
	}
}
