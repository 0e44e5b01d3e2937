// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// freezer gathers what a family has to send into batches.
type freezer struct {
	w *writer
	f *family
	packer
	before  int64                 // when the freeze before this one began, by monotonicNow
	awaited map[*series][]*waiter // of the series that are in no batch yet
}

// freeze gathers what a family has to send into batches: deletions first, since what
// was counted before them was dropped when they were asked for. It takes the waiters
// before the deltas, so that the delta of each waiter is in this freeze or was in an
// earlier one. If it fails, the deltas stay in their series, and the waiters wait on.
func (w *writer) freeze(f *family) error {
	before := f.out.freezeAt
	f.out.freezeAt = monotonicNow()
	if !f.hasWork() { // of many families, most have none
		return nil
	}
	defer w.backlog.enter(f)
	f.mu.Lock()
	asked, waiters := f.deletions, f.waiters
	f.deletions, f.waiters = deletions{}, nil
	f.mu.Unlock()

	z := freezer{w: w, f: f, packer: newPacker(f, &w.packing), before: before}
	err := z.freezeDeletions(asked)
	z.cut()
	if err != nil {
		// Redis must not get a delta before the deletion that it came after.
		f.mu.Lock()
		f.waitOn(waiters...)
		f.mu.Unlock()
		for _, match := range asked.matches { // the other deletions are in batches
			f.queueDeletion(func(d *deletions, limit int) bool { return d.addMatch(match, limit) })
		}
		return err
	}
	z.awaited = make(map[*series][]*waiter, len(waiters))
	for _, wt := range waiters {
		z.awaited[wt.series] = append(z.awaited[wt.series], wt)
	}
	// Each set of constants has batches of its own, since a batch has one overflow
	// field. The overflow series come after the series of all sets that are below the
	// cap.
	sets := *f.sets.Load()
	outside := make([][]*series, len(sets))
	for i, c := range sets {
		outside[i] = z.freezeTable(c)
	}
	for i, c := range sets {
		z.freezeOutside(c, outside[i])
	}
	for _, nothingToSend := range z.awaited {
		for _, wt := range nothingToSend {
			wt.finish("", nil)
		}
	}
	return nil
}

// freezeDeletions turns deletions into ops. Their order does not matter: nothing is
// added in between. For those by partial match it asks Redis once which series there
// are; if that fails, they are not in a batch.
func (z *freezer) freezeDeletions(d deletions) error {
	asked := z.w.clock.at(d.asked).UnixMicro()
	if d.all {
		z.add(wire.OpClear, "", nil, asked, nil)
		z.cut()
	}
	for _, field := range slices.Sorted(maps.Keys(d.fields)) {
		z.add(wire.OpDelete, field, nil, asked, nil)
	}
	if len(d.matches) == 0 {
		return nil
	}
	f := z.f
	ctx, cancel := z.w.callContext()
	defer cancel()
	stored, err := wire.ScanSeries(ctx, z.w.store, f.def.name, wire.MaxPage)
	if errors.Is(err, wire.ErrTooLarge) { // it stays too large: the rest of the family must not wait for it
		f.reg.self.rejected.WithLabelValues(reasonDeletion).Add(float64(len(d.matches)))
		f.reg.report("deletions", fmt.Errorf("shoal: %s %q: what was to be deleted can't be searched for: %w", f.def.kind, f.def.name, err))
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range stored {
		if !d.fields[s.Field] && d.matchField(s.Field) {
			z.add(wire.OpDelete, s.Field, nil, asked, nil)
		}
	}
	return nil
}

// freezeTable takes the series of a set that are in the table and were written since
// they were last drained, or are awaited. It returns the written ones that are not in
// the table.
func (z *freezer) freezeTable(c *constants) (outside []*series) {
	z.overflow = c.overflowField
	c.takeDirty(func(s *series) {
		if s.outside.Load() {
			outside = append(outside, s)
		} else {
			z.take(s, false)
		}
	})
	for s := range z.awaited {
		if s.consts == c && !s.outside.Load() {
			z.take(s, false) // its value was in an earlier freeze: ask for the total alone
		}
	}
	z.cut()
	return outside
}

// freezeOutside takes the series of a set that are not in the table (deleted ones and
// the overflow series), and those that are still awaited. A batch names a field once.
// The series of the table all have different fields, but a series outside may have the
// field of another. They come last, so that only their fields need be remembered.
func (z *freezer) freezeOutside(c *constants, list []*series) {
	z.overflow = c.overflowField
	fields := map[string]bool{} // of the batch at hand
	take := func(s *series) {
		if fields[s.field] {
			z.cut()
		}
		if len(z.ops) == 0 {
			clear(fields)
		}
		fields[s.field] = true
		z.take(s, s.deleted())
	}
	for _, s := range list {
		take(s)
	}
	for s := range z.awaited {
		if s.consts == c {
			take(s)
		}
	}
	z.cut()
}

// take drains a series into an op. If a deletion of it was asked for after this freeze
// began, it leaves the series for the next one: what the series holds was counted after
// that deletion, and Redis must get it after. The family's mu is held until the series
// is drained, so that no deletion, with what is written after it, comes in between.
func (z *freezer) take(s *series, deleted bool) {
	f := z.f
	f.mu.Lock()
	if f.deletions.cover(s.field) {
		f.waitOn(z.awaited[s]...)
		f.mu.Unlock()
		delete(z.awaited, s)
		s.touch()
		return
	}
	kind, text, ok := z.w.op(s, deleted)
	if ok && deleted && f.table.put(s, f.room()) == s { // it was written since the last freeze: it comes back
		f.holdFrom(s, z.before)
	}
	born := int64(0)
	if moment, fresh := f.fresh[s]; ok && fresh {
		born = z.w.clock.notAfter(moment).UnixMicro()
		delete(f.fresh, s)
	}
	f.mu.Unlock()
	if ok {
		z.add(kind, s.field, text, born, z.awaited[s])
		delete(z.awaited, s)
	}
}

// op renders what a series has to send. deleted says that the family has it no more.
// text is valid until the next call.
func (w *writer) op(s *series, deleted bool) (kind wire.OpKind, text []byte, ok bool) {
	w.text = w.text[:0]
	if g, ok := s.metric.(*Gauge); ok && s.consts.fam.def.mode == Latest {
		if g.state.Load() != gaugeSet {
			return 0, nil, false
		}
		at := g.at.Load()
		stamp := w.clock.at(at).UnixMicro()
		deadline := int64(0)
		if e := s.consts.fam.def.expire; e > 0 {
			if deadline = stamp + e.Microseconds(); deadline <= w.clock.at(monotonicNow()).UnixMicro() {
				return 0, nil, false // it has expired, and would take the room of a value that has not
			}
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
