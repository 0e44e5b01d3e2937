// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	asked, waiters := f.deletions, f.waiters
	f.deletions, f.waiters = deletions{}, nil
	f.mu.Unlock()

	p := packer{out: &f.out, now: time.Now(), weight: 1, scratch: &w.packing}
	switch f.def.kind {
	case wire.TypeHistogram:
		p.weight = histogramWeight
	case wire.TypeSummary:
		p.weight = summaryWeight
	}
	if err := w.freezeDeletions(ctx, &p, asked, f); err != nil {
		// Deltas may not overtake the deletion that they came after.
		f.mu.Lock()
		f.waitOn(waiters...)
		f.mu.Unlock()
		for _, match := range asked.matches { // others were asked for meanwhile
			f.queueDeletion(func(r *deletions, limit int) bool { return r.addMatch(match, limit) })
		}
		p.cut()
		return err
	}
	p.cut()

	wanted := make(map[*series][]*waiter, len(waiters))
	for _, wt := range waiters {
		wanted[wt.series] = append(wanted[wt.series], wt)
	}
	take := func(s *series, deleted bool) {
		f.mu.Lock()
		if f.deletedSince(s) {
			f.waitOn(wanted[s]...)
			f.mu.Unlock()
			delete(wanted, s)
			s.touch() // it holds what came after the deletion, and must go after it
			return
		}
		kind, text, ok := w.op(s, deleted)
		f.mu.Unlock()
		if ok {
			p.add(kind, s.field, text, wanted[s])
			delete(wanted, s)
		}
	}
	// Each set of constants has batches of its own, since a batch has one
	// overflow field. Overflow series come when every set has what is below the
	// cap.
	sets := *f.sets.Load()
	outside := make([][]*series, len(sets))
	for i, c := range sets {
		p.overflow = c.overflowField
		outside[i] = c.takeInTable(wanted, take)
		p.cut()
	}
	for i, c := range sets {
		p.overflow = c.overflowField
		c.takeOutside(&p, outside[i], wanted, take)
		p.cut()
	}
	for _, left := range wanted {
		for _, wt := range left {
			wt.finish("", nil)
		}
	}
	return nil
}

// takeInTable calls take for each series in the table that was written since it
// was last drained, or that is wanted. It returns the written ones that are not
// in the table.
func (c *constants) takeInTable(wanted map[*series][]*waiter, take func(s *series, deleted bool)) (outside []*series) {
	c.takeDirty(func(s *series) {
		if s.outside.Load() {
			outside = append(outside, s)
		} else {
			take(s, false)
		}
	})
	for s := range wanted {
		if s.consts == c && !s.outside.Load() {
			take(s, false) // its value went with an earlier freeze: ask for the total alone
		}
	}
	return outside
}

// takeOutside calls take for these series and for those that are wanted. A
// batch names a field once. The series of the table have different fields; one
// that was deleted, or the overflow, may have that of another. They come last,
// so that only their fields need be remembered.
func (c *constants) takeOutside(p *packer, list []*series, wanted map[*series][]*waiter, take func(s *series, deleted bool)) {
	byField := map[string]bool{}
	takeOne := func(s *series) {
		if byField[s.field] {
			p.cut()
		}
		if len(p.ops) == 0 {
			clear(byField)
		}
		byField[s.field] = true
		take(s, s.deleted())
	}
	for _, s := range list {
		takeOne(s)
	}
	for s := range wanted {
		if s.consts == c {
			takeOne(s)
		}
	}
}

// deletedSince says whether a deletion of the series has been asked for and is
// not frozen. The caller holds mu until it has drained the series, so that no
// deletion, with what is written after it, comes in between.
func (f *family) deletedSince(s *series) bool {
	return f.deletions.cover(s.field)
}

// op renders what a series has to say; deleted is what the family says of it.
// The value is text, which lasts until the next call.
func (w *writer) op(s *series, deleted bool) (kind wire.OpKind, text []byte, ok bool) {
	w.text = w.text[:0]
	if g, ok := s.metric.(*Gauge); ok && s.consts.fam.def.mode == Latest {
		if g.state.Load() != gaugeSet {
			return 0, nil, false
		}
		at := g.at.Load()
		stamp := w.storeTime(at).UnixMicro()
		deadline := int64(0)
		if e := s.consts.fam.def.expire; e > 0 {
			deadline = stamp + e.Microseconds()
		}
		w.text = append(append(w.text, formatGauge(g.value())...), ' ')
		w.text = append(strconv.AppendInt(w.text, stamp, 10), ' ')
		w.text = strconv.AppendInt(w.text, deadline, 10)
		return wire.OpLatest, w.text, true
	}
	w.vector = s.metric.(drainer).drain(w.vector[:0])
	if deleted && !slices.ContainsFunc(w.vector, func(c wire.Component) bool { return c.Value != 0 }) {
		return 0, nil, false // deleted since it was touched: adding 0 would bring it back
	}
	w.text = wire.AppendVector(w.text, w.vector)
	return wire.OpAdd, w.text, true
}

// freezeDeletions turns deletions into ops. Those by partial match ask Redis,
// once for all of them, which series there are; if that fails, they are left.
func (w *writer) freezeDeletions(ctx context.Context, p *packer, r deletions, f *family) error {
	// Their order does not matter: nothing is added in between.
	if r.all {
		p.add(wire.OpClear, "", nil, nil)
		p.cut()
	}
	for _, field := range slices.Sorted(maps.Keys(r.fields)) {
		p.add(wire.OpDelete, field, nil, nil)
	}
	if len(r.matches) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stored, err := w.store.ScanSeries(ctx, f.def.name, wire.MaxPage)
	if errors.Is(err, wire.ErrTooLarge) { // it stays so, and nothing else may wait for it
		f.reg.self.rejected.WithLabelValues(reasonDeletion).Add(float64(len(r.matches)))
		f.reg.report("deletions", fmt.Errorf("shoal: %s %q: what was to be deleted can't be searched for: %w", f.def.kind, f.def.name, err))
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range stored {
		if !r.fields[s.Field] && r.matchField(s.Field) {
			p.add(wire.OpDelete, s.Field, nil, nil)
		}
	}
	return nil
}

// packer cuts ops into batches. It gathers them in memory that is used again,
// so that a batch is what it needs: its ops, and one text for all their values.
type packer struct {
	out      *outbox
	now      time.Time
	overflow string // of the batches to come
	weight   int    // of an op
	load     int    // of the batch at hand
	size     int
	*scratch
}

// scratch is the batch at hand.
type scratch struct {
	ops     []wire.Op
	values  []byte // one after the other
	ends    []int  // of each in values
	waiters []*waiter
}

func (p *packer) add(kind wire.OpKind, field string, value []byte, waiters []*waiter) {
	for _, w := range waiters {
		w.op = len(p.ops)
	}
	p.ops = append(p.ops, wire.Op{Kind: kind, Field: field})
	p.waiters = append(p.waiters, waiters...)
	p.values = append(p.values, value...)
	p.ends = append(p.ends, len(p.values))
	p.size += len(field) + len(value) + 48
	p.load += p.weight
	if p.load >= batchWeight || p.size >= batchBytes {
		p.cut()
	}
}

// cut ends the batch at hand, if there is one.
func (p *packer) cut() {
	if len(p.ops) == 0 {
		return
	}
	b := &batch{
		frozen: p.now, ops: slices.Clone(p.ops), overflow: p.overflow,
		size: p.size, weight: max(p.load, p.size*batchWeight/batchBytes),
	}
	if len(p.waiters) > 0 {
		b.waiters = slices.Clone(p.waiters)
	}
	values, from := string(p.values), 0
	for i, end := range p.ends {
		b.ops[i].Value = values[from:end]
		from = end
	}
	p.out.push(b)
	p.load, p.size = 0, 0
	clear(p.waiters)
	p.ops, p.values, p.ends, p.waiters = p.ops[:0], p.values[:0], p.ends[:0], p.waiters[:0]
}
