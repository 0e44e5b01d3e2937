// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// removal is a deletion that waits for the writer goroutine.
type removal struct {
	all   bool
	field string // the one series, when match is nil
	match Labels // every series with these labels
}

// DeleteLabelValues deletes the series with these label values, everywhere:
// see [Vec.Delete]. It reports whether this process held a child for them.
func (v *Vec[M]) DeleteLabelValues(values ...string) bool {
	if len(values) != len(v.fam.def.labelNames) {
		return false
	}
	return v.fam.delete(values)
}

// Delete deletes the series with these labels for all processes, with the next
// flush; Flush waits for it. What any process had brought to Redis by then is
// gone, and what this process had counted and not sent. What is counted later,
// through this process's old children too, begins at zero. Of gauges that
// belong to a process only its own one is deleted; an old child keeps its value
// and shows it with its next write. It reports whether this
// process held a child for the labels; labels that the metric does not have
// delete nothing.
func (v *Vec[M]) Delete(labels Labels) bool {
	values, err := v.fam.valuesOf(labels)
	if err != nil {
		return false
	}
	return v.fam.delete(values)
}

// DeletePartialMatch deletes every series that has all these labels, those
// that only other processes hold included, as [Vec.Delete] does. It returns
// how many children this process held. Constant labels match too; no labels
// match everything.
func (v *Vec[M]) DeletePartialMatch(labels Labels) int {
	f := v.fam
	match := make(Labels, len(labels))
	for name, value := range labels {
		match[name] = strings.Clone(f.repair(value))
	}
	n := f.forget(func(s *series) bool { return fieldMatches(s.field, match) })
	if f.pooled() {
		f.remove(removal{match: match})
	}
	return n
}

// Reset deletes every series of the metric, as [Vec.Delete] does.
func (v *Vec[M]) Reset() {
	f := v.fam
	f.forget(func(*series) bool { return true })
	if f.pooled() {
		f.remove(removal{all: true})
	}
}

// pooled says whether the family's values are joined in Redis, and not kept
// apart by process.
func (f *family) pooled() bool {
	return f.def.kind != wire.TypeGauge || f.def.mode == Latest || f.def.mode == Total
}

func (f *family) delete(values []string) bool {
	values = f.repaired(values) // to name what WithLabelValues makes of them
	s := f.table.remove(hashValues(values), values)
	if s != nil {
		f.drop(s)
	}
	if f.pooled() {
		f.remove(removal{field: f.def.field(values)})
	}
	return s != nil
}

// forget drops every child for which match holds and returns their number.
func (f *family) forget(match func(*series) bool) int {
	var found []*series
	f.table.each(func(s *series) {
		if match(s) {
			found = append(found, s)
		}
	})
	n := 0
	for _, s := range found {
		if f.table.remove(s.hash, s.values) != nil {
			f.drop(s)
			n++
		}
	}
	f.mu.Lock()
	if s := f.overflow; s != nil && match(s) {
		f.drop(s)
		f.overflow = nil
	}
	f.mu.Unlock()
	return n
}

// detached says whether a series was deleted here: it is reached only through
// handles from before.
func (f *family) detached(s *series) bool {
	if f.table.get(s.hash, s.values) == s {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.overflow != s
}

// drop discards what a deleted child gathered. A gauge of this process is
// taken off the page by the writer goroutine.
func (f *family) drop(s *series) {
	if g, ok := s.metric.(*Gauge); ok && f.def.mode != Total {
		if f.pooled() {
			g.state.Store(gaugeUnset)
		} else if g.state.CompareAndSwap(gaugeSet, gaugeDropped) {
			g.touch()
		}
		return
	}
	s.metric.(drainer).drain(nil)
}

// remove queues a deletion. While Redis is away the queue is bounded as the
// series are: what a deletion beyond that names stays.
func (f *family) remove(r removal) {
	f.mu.Lock()
	if r.all {
		f.removals = nil // this one covers them
	}
	full := len(f.removals) >= f.reg.seriesLimit()
	if !full {
		f.removals = append(f.removals, r)
	}
	f.mu.Unlock()
	if full {
		f.reg.report("removals", fmt.Errorf("shoal: %s %q: too many deletions wait for Redis: one was dropped",
			f.def.kind, f.def.name))
	}
}

// fieldMatches says whether a stored field has all these labels.
func fieldMatches(field string, match Labels) bool {
	labels, err := wire.DecodeField(field)
	return err == nil && labelsMatch(labels, match)
}

func labelsMatch(labels []wire.Label, match Labels) bool {
	n := 0
	for _, l := range labels {
		if want, ok := match[l.Name]; ok {
			if want != l.Value {
				return false
			}
			n++
		}
	}
	for _, want := range match {
		if want == "" {
			n++ // an absent label equals an empty one
		}
	}
	return n == len(match)
}
