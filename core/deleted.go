// SPDX-License-Identifier: Apache-2.0

package shoal

// minDeleted is how many deleted series may always be on a dirty list.
const minDeleted = 1000

// staysDirty notes that a deleted series is on the dirty list. It stays there until the
// list is drained, which does not happen while Redis is away or before Connect. So when
// there may be more deleted series on the list than living ones, it is thinned out; that
// takes a few steps for each deletion. The caller does not hold the family's mu.
func (c *constants) staysDirty() {
	if c.deletedDirty.Add(1) > max(minDeleted, int64(c.fam.table.series.Len())) {
		c.thinOut()
	}
}

// thinOut takes the deleted series that have nothing to send off the dirty list.
// What was written since through handles from before is kept for as many of them as
// a family may have series; that of the others goes to the overflow series.
func (c *constants) thinOut() {
	if !c.taking.TryLock() {
		return // somebody else does it, or drains the list
	}
	defer c.taking.Unlock()
	c.deletedDirty.Store(0)
	kept, limit := 0, c.fam.reg.seriesLimit() // before Connect too, when living ones have no cap
	for s := c.dirty.Swap(nil); s != nil; {
		next := s.next
		if !s.outside.Load() || !s.deleted() {
			c.push(s)
			s = next
			continue
		}
		s.next = nil
		s.dirty.Store(false) // before unsent looks: a write that it misses marks the series again
		switch {
		case !s.unsent():
		case kept < limit:
			kept++
			if s.dirty.CompareAndSwap(false, true) {
				c.push(s)
			}
		default:
			s.moveTo(c.overflowChild())
		}
		s = next
	}
}

// unsent says whether a deleted series has something to send. A per-process gauge that
// waits for its deletion in Redis has nothing: instead, all gauges are sent.
func (s *series) unsent() bool {
	switch m := s.metric.(type) {
	case *Counter:
		return !m.empty(nil)
	case *Summary:
		return !m.empty(m.counts[:])
	case *Histogram:
		return !m.empty(m.counts)
	case *Gauge:
		if s.consts.fam.def.mode == Total {
			return !m.empty(nil)
		}
		if m.state.Load() == gaugeDropped {
			m.forget()
		}
		return m.state.Load() == gaugeSet
	}
	return true
}

// moveTo moves what a deleted series has gathered to another one. A gauge's value
// is dropped: the last value among many label sets means nothing.
func (s *series) moveTo(other *series) {
	switch m := s.metric.(type) {
	case *Counter:
		other.metric.(*Counter).add(m.take())
	case *Summary:
		to := other.metric.(*Summary)
		m.moveSum(m.counts[:], &to.sum, to.counts[:])
	case *Histogram:
		to := other.metric.(*Histogram)
		m.moveSum(m.counts, &to.sum, to.counts)
	case *Gauge:
		if s.consts.fam.def.mode != Total {
			m.forget()
			return
		}
		other.metric.(*Gauge).add(m.take())
	}
	other.touch()
}

// forget unsets a gauge. Instead of the deletion of a per-process gauge, all gauges are
// sent, in place of what Redis has.
func (g *Gauge) forget() {
	if f := g.consts.fam; !f.shared() {
		f.reg.gaugesForgotten.Store(true) // first: a writer that finds the gauge unset must find this set
	}
	g.state.Store(gaugeUnset)
}
