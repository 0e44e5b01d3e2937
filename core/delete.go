// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
	"strings"
)

// DeleteLabelValues deletes the series with these label values, everywhere:
// see [Vec.Delete]. It reports whether this process held a child for them.
func (v *Vec[M]) DeleteLabelValues(values ...string) bool {
	if len(values) != len(v.labelNames()) {
		return false
	}
	if v.curry != nil {
		values = v.curry.complete(nil, values)
	}
	return v.consts.delete(values)
}

// Delete deletes the series with these labels for all processes, with the next
// flush; Flush waits for it. What any process had brought to Redis by then is
// gone, and what this process had counted and not sent. What is counted later,
// through this process's old children too, begins at zero. A gauge that belongs to
// its process is deleted for this process only; an old child keeps its value, and
// its next write brings it back. Other processes drop their children within a refresh, or
// within 5 minutes where series are deleted all the time, unless they write them again.
// Delete reports whether this process held a child for the labels; labels that the metric
// does not have delete nothing. shoal_removed_series_total counts the series that went.
//
// While Redis is away, up to Opts.SeriesLimit different deletions of a metric wait.
// A further one only drops what this process has; it is counted in
// shoal_rejected_observations_total and reported. A deletion that reaches Redis more than
// 10 s after it was asked for spares series that began more than a second after that.
func (v *Vec[M]) Delete(labels Labels) bool {
	values, err := v.valuesOf(labels)
	if err != nil {
		return false
	}
	return v.DeleteLabelValues(values...)
}

// DeletePartialMatch deletes every series that has all these labels, those
// that only other processes hold included, as [Vec.Delete] does. It returns
// how many children this process held. Without labels it deletes every series. If
// the metric was declared with a label, an empty value matches the series that
// lack it; any other value matches only series that have it. Constant labels match
// too, and a series with other values of them than this metric's is never deleted. For a
// curried vector see [Vec.CurryWith].
func (v *Vec[M]) DeletePartialMatch(labels Labels) int {
	f, match := v.consts.fam, v.consts.labels()
	for name, value := range labels {
		constant, ok := match[name]
		if ok && value != constant || value == "" && !f.def.hasLabel(name) || v.curries(name) {
			return 0
		}
		if !ok {
			match[name] = strings.Clone(f.repair(value))
		}
	}
	return v.consts.deleteMatching(match)
}

// Reset deletes every series of the metric, as [Vec.Delete] does. Where the
// metric has constant labels, it deletes those with this metric's values of
// them.
func (v *Vec[M]) Reset() { v.consts.deleteMatching(v.consts.labels()) }

func (c *constants) delete(values []string) bool {
	f := c.fam
	values = f.repaired(values) // to name what WithLabelValues makes of them
	s := f.table.remove(c.hash(values), values)
	if s != nil {
		f.discard(s)
	}
	if f.shared() {
		f.queueDeletion(func(r *deletions, limit int) bool { return r.addField(c.field(values), limit) })
	}
	return s != nil
}

// deleteMatching deletes the series that have all these labels, which include the
// constant ones. It returns how many children there were.
func (c *constants) deleteMatching(match Labels) int {
	n := c.forget(match)
	switch f := c.fam; {
	case !f.shared():
	case len(match) == 0:
		f.queueDeletion(func(r *deletions, _ int) bool { return r.addAll() })
	default:
		f.queueDeletion(func(r *deletions, limit int) bool {
			if len(match) == len(c.values) { // a Reset: no more of them wait than there are sets of constants
				limit = math.MaxInt
			}
			return r.addMatch(match, limit)
		})
	}
	return n
}

// forget drops every child with these labels and returns their number.
func (c *constants) forget(match Labels) int {
	var found []*series
	f := c.fam
	f.table.series.Each(func(s *series) {
		if s.consts == c && fieldMatches(s.field, match) {
			found = append(found, s)
		}
	})
	n := 0
	for _, s := range found {
		if f.table.remove(s.hash, s.values) != nil {
			f.discard(s)
			n++
		}
	}
	f.mu.Lock()
	overflow := c.overflow
	if overflow != nil && fieldMatches(overflow.field, match) {
		c.overflow = nil
	} else {
		overflow = nil
	}
	f.mu.Unlock()
	if overflow != nil {
		f.discard(overflow)
	}
	return n
}

// deleted says whether a series was deleted here: it is reached only through
// handles from before.
func (s *series) deleted() bool {
	if s.consts.fam.table.get(s.hash, s.values) == s {
		return false
	}
	s.consts.fam.mu.Lock()
	defer s.consts.fam.mu.Unlock()
	return s.consts.overflow != s
}

// discard forgets what a deleted child gathered. A gauge of this process is
// taken off the page by the writer goroutine.
func (f *family) discard(s *series) {
	f.release(s)
	if s.dirty.Load() {
		defer s.consts.staysDirty()
	}
	if g, ok := s.metric.(*Gauge); ok && f.def.mode != Total {
		if f.shared() {
			g.state.Store(gaugeUnset)
		} else if g.state.CompareAndSwap(gaugeSet, gaugeDropped) {
			g.touch()
		}
		return
	}
	s.metric.(drainer).drain(nil)
}

// queueDeletion queues a deletion for the writer goroutine, by add. While Redis is away, the
// queue has as many deletions as the family may have series. A further one is dropped, and the
// series that it names stay in Redis.
func (f *family) queueDeletion(add func(r *deletions, limit int) bool) {
	f.mu.Lock()
	added := add(&f.deletions, f.reg.seriesLimit())
	f.mu.Unlock()
	if !added {
		f.reg.self.rejected.WithLabelValues(reasonDeletion).Inc()
		f.reg.report("deletions", fmt.Errorf("shoal: %s %q: %d deletions wait for Redis already: one was dropped, "+
			"and what it names stays; Reset needs no room", f.def.kind, f.def.name, f.reg.seriesLimit()))
	}
}
