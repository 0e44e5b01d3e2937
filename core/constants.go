// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// constants are one set of values of a family's constant labels, and the children with it. A
// declaration with other values has a set of its own. An imported family has no constant labels,
// but such a set for each set of label names. All sets of a family share its name, its keys in
// Redis and its cap of series.
type constants struct {
	fam    *family
	values []string // parallel to fam.def.constNames
	names  []string // the label names of the children, in the order of their values

	// salt is part of the hash of each child, by which the family's table tells apart
	// children that differ only in the set. It is 0 for the first set.
	salt uint64

	overflowField string // the stored field of the overflow series

	// dirty is the head of a list of the series written since they were last drained. A
	// write of a metric pushes its series, the writer goroutine takes the whole list, and
	// deletions thin it out. All but a push hold taking: while thinOut puts series back,
	// the list is not complete.
	dirty        atomic.Pointer[series]
	taking       sync.Mutex
	deletedDirty atomic.Int64 // how many deleted series may be on the list, at least

	overflow *series // the overflow series; nil until it is needed; guarded by fam.mu
}

// constantsOf returns the set with the definition's values, and adds it if there is none. The
// caller holds the registry's mu, or no other goroutine knows the family yet.
func (f *family) constantsOf(d *definition) *constants {
	sets := *f.sets.Load()
	for _, c := range sets {
		if slices.Equal(c.values, d.constVals) {
			return c
		}
	}
	c := f.addSet(d)
	if len(d.labelNames) == 0 {
		c.newChild(nil)
	}
	return c
}

// addSet adds a set with the definition's values of the constant labels and its label names. For
// its callers see constantsOf.
func (f *family) addSet(d *definition) *constants {
	sets := *f.sets.Load()
	c := &constants{fam: f, values: d.constVals, names: d.labelNames, salt: uint64(len(sets)) * 0x9E3779B97F4A7C15}
	c.overflowField = c.field(c.overflowValues())
	sets = append(slices.Clone(sets), c)
	f.sets.Store(&sets)
	return c
}

// hash is the hash of a child in the family's table. It differs for two children with equal
// label values in different sets, so the table need not compare the sets.
func (c *constants) hash(values []string) uint64 { return hashValues(values) ^ c.salt }

// field returns the stored field of the child with these label values.
func (c *constants) field(values []string) string {
	d := &c.fam.def
	field := wire.EncodeField(slices.Concat(d.constNames, c.names), slices.Concat(c.values, values))
	if d.mode == Total {
		field = wire.TotalMark + field
	}
	return field
}

// overflowValues are the label values of the overflow series.
func (c *constants) overflowValues() []string {
	values := make([]string, len(c.names))
	for i := range values {
		values[i] = overflowValue
	}
	return values
}

// labels are the constant labels.
func (c *constants) labels() Labels {
	labels := make(Labels, len(c.values))
	for i, name := range c.fam.def.constNames {
		labels[name] = c.values[i]
	}
	return labels
}

// push puts a series on the dirty list. Its dirty flag is set: by the caller, or before the
// caller took the list.
func (c *constants) push(s *series) {
	for {
		head := c.dirty.Load()
		s.next = head
		if c.dirty.CompareAndSwap(head, s) {
			return
		}
	}
}

// anyDirty says whether the dirty list has a series.
func (c *constants) anyDirty() bool {
	c.taking.Lock()
	defer c.taking.Unlock()
	return c.dirty.Load() != nil
}

// takeDirty empties the dirty list and calls do for each series on it, in the order in which
// they were written: where the cap has room for some new label sets only, the first get it.
func (c *constants) takeDirty(do func(*series)) {
	c.taking.Lock()
	c.deletedDirty.Store(0)
	list := c.dirty.Swap(nil)
	c.taking.Unlock()
	list = reverse(list)
	for s := list; s != nil; {
		next := s.next
		s.next = nil
		s.dirty.Store(false)
		do(s)
		s = next
	}
}

// reverse reverses a list of series, and returns its new first one.
func reverse(s *series) (last *series) {
	for s != nil {
		last, s, s.next = s, s.next, last
	}
	return last
}
