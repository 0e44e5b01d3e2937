// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// All that the simulation reads of the fields of a registry and its writer. Otherwise it
// knows only what a process is told, what it sends and what its pages show.

// books are what a process itself says of its batches.
type books struct {
	given map[string]uint64 // by family: the last number that is not in the queue any more
	lost  float64           // what the self-metric on lost batches was told in all
}

// audit reads the books and checks that what the process keeps is within its bounds. Its
// writer goroutine, to which all of that belongs, calls it.
func (p *proc) audit() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.checkMemory()
	if !p.w.calm {
		return
	}
	p.books = books{given: map[string]uint64{}, lost: p.lostTold}
	p.reg.self.lost.consts.fam.each(func(s *series) { p.books.lost += unsent(s) })
	for _, f := range *p.reg.families.Load() {
		if f.def.cadence.own() {
			continue // what shoal counts of itself is no loss
		}
		for _, n := range f.out.lost {
			p.books.lost += float64(n)
		}
		if f.shared() {
			p.books.given[f.def.name] = f.out.newest
			if len(f.out.queue) > 0 { // its own metrics are on their way again
				p.books.given[f.def.name] = f.out.queue[0].seq - 1
			}
		}
	}
}

// checkMemory wants what a process keeps to be within its bounds.
func (p *proc) checkMemory() {
	size, queued := 0, 0
	for _, f := range *p.reg.families.Load() {
		o, sum, fresh := &f.out, 0, 0
		if limit := p.w.plan.opts.SeriesLimit; limit > 0 && !f.def.cadence.own() && f.table.series.Len() > 2*limit {
			p.w.violated("%v has %d children of %s, and the cap is %d", p, f.table.series.Len(), f.def.name, limit)
		}
		for _, b := range o.kept {
			sum += b.size
		}
		if sum != o.size {
			p.w.violated("%v keeps %d bytes of %s and believes it is %d", p, sum, f.def.name, o.size)
		}
		size += sum
		if !f.def.cadence.own() {
			queued += len(o.queue)
		}
		for _, b := range o.queue {
			if b.acked.IsZero() {
				fresh++
			}
		}
		if fresh > 4 { // a reset, deletions, additions, and again after a write through an old child
			p.w.violated("%v has frozen %d batches of %s that the store never had", p, fresh, f.def.name)
		}
	}
	if c := p.reg.conn.Load(); c != nil { // else Connect has not returned yet
		if b := &c.writer.backlog; size != b.size || int64(queued) != b.queued.Load() {
			p.w.violated("%v keeps %d bytes, has %d batches in queues, and its backlog says %d and %d", p, size, queued, b.size, b.queued.Load())
		}
	}
	if size > keepBytes+batchBytes {
		p.w.violated("%v keeps %d bytes", p, size)
	}
}

// checkDelivered wants nothing to be left in a process that closed without an error. The
// caller holds w.mu.
func (p *proc) checkDelivered() {
	p.checkSent()
	for _, f := range *p.reg.families.Load() {
		if n := len(f.out.queue); n > 0 && f.out.refused == nil {
			p.w.violated("%v closed without an error and left %d batches of %s", p, n, f.def.name)
		}
	}
}

// unsent is what a counter or a Total has counted and not given to a batch.
func unsent(s *series) float64 {
	var d *delta
	switch m := s.metric.(type) {
	case *Counter:
		d = &m.delta
	case *Gauge:
		d = &m.delta
	}
	return float64(d.whole.Load()) + math.Float64frombits(d.rest.Load())
}

// eachUnsent calls do with the label value of each series and what it has not given to a batch.
func eachUnsent[M Counter | Gauge](v *Vec[M], do func(label string, n float64)) {
	v.consts.fam.each(func(s *series) { do(s.values[0], unsent(s)) })
}

// family is what the process has of a family, or nil.
func (p *proc) family(name string) *family {
	for _, f := range *p.reg.families.Load() {
		if f.def.name == name {
			return f
		}
	}
	return nil
}

// child is the process's child of a family with this label value, perhaps the overflow series, or nil.
func (p *proc) child(key seriesKey) (child *series) {
	if f := p.family(key.family); f != nil {
		f.each(func(s *series) {
			if labelOf(s.field) == key.k {
				child = s
			}
		})
	}
	return child
}

// children are the label values of the process's children in a family, without those of which it
// has not told yet.
func (p *proc) children(family string) (list []string) {
	f := p.family(family)
	if f == nil {
		return nil
	}
	f.table.series.Each(func(s *series) {
		if !p.fresh(s) {
			list = append(list, labelOf(s.field))
		}
	})
	return list
}

func (p *proc) fresh(s *series) bool {
	s.consts.fam.mu.Lock()
	defer s.consts.fam.mu.Unlock()
	_, fresh := s.consts.fam.fresh[s]
	return fresh
}

// holds says whether the process has a child for a series, and has told so.
func (p *proc) holds(key seriesKey) bool {
	s := p.child(key)
	return s != nil && !p.fresh(s)
}

// holdsClean says whether the process has a child for a series, with nothing to send and labels.
func (p *proc) holdsClean(key seriesKey) bool {
	s := p.child(key)
	return s != nil && !s.dirty.Load() && !s.overflow && len(s.values) > 0
}

// addedNothing says whether a batch's loss is none, as it only showed that series are there.
func addedNothing(ops []wire.Op) bool { return !(&batch{ops: ops}).counted() }

// connect connects the process to a store of its own.
func (p *proc) connect(opts Opts, store func(app string) wire.Store) error {
	return p.reg.connect(opts, store, nil)
}
