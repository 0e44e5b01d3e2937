// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// constants are one set of values of a family's constant labels. A declaration
// with other values has a set of its own, whose children no other set reaches.
// The family's name, its place in Redis and its cap of series are common to all.
type constants struct {
	fam    *family
	values []string // parallel to fam.def.constNames

	// salt goes into the hash of each child, so that the family's table tells
	// children apart that differ in nothing else. The first set has 0.
	salt uint64

	overflowField string // the storage identity of the overflow series

	// dirty is the head of a list of the series written since they were last
	// drained. Whoever writes a metric pushes, the writer goroutine takes the whole
	// list, and deletions thin it out. Who does more than push holds taking, so that
	// nobody takes a part for the whole.
	dirty        atomic.Pointer[series]
	taking       sync.Mutex
	deletedDirty atomic.Int64 // how many deleted series may be on the list, at least

	overflow *series // the local overflow child, once needed; guarded by fam.mu
}

// constantsOf returns the set with the definition's values, a new one if need
// be. The caller holds the registry's mu, or has the family alone.
func (f *family) constantsOf(d *definition) *constants {
	sets := *f.sets.Load()
	for _, c := range sets {
		if slices.Equal(c.values, d.constVals) {
			return c
		}
	}
	c := &constants{fam: f, values: d.constVals, salt: uint64(len(sets)) * 0x9E3779B97F4A7C15}
	c.overflowField = c.field(d.overflowValues())
	sets = append(slices.Clone(sets), c)
	f.sets.Store(&sets)
	if len(d.labelNames) == 0 {
		c.newChild(nil)
	}
	return c
}

// hash is that of a child in the family's table. Of two children with equal
// values and different sets it always differs, so the table compares no sets.
func (c *constants) hash(values []string) uint64 { return hashValues(values) ^ c.salt }

// field gives the storage identity of the child with these label values.
func (c *constants) field(values []string) string {
	d := &c.fam.def
	field := wire.EncodeField(slices.Concat(d.constNames, d.labelNames), slices.Concat(c.values, values))
	if d.mode == Total {
		field = wire.TotalMark + field
	}
	return field
}

// labels are the constant labels.
func (c *constants) labels() Labels {
	labels := make(Labels, len(c.values))
	for i, name := range c.fam.def.constNames {
		labels[name] = c.values[i]
	}
	return labels
}

// push puts a series on the dirty list. The caller has set its dirty flag, or
// found it set when it took the list.
func (c *constants) push(s *series) {
	for {
		head := c.dirty.Load()
		s.next = head
		if c.dirty.CompareAndSwap(head, s) {
			return
		}
	}
}

// anyDirty says whether a series is on the dirty list.
func (c *constants) anyDirty() bool {
	c.taking.Lock()
	defer c.taking.Unlock()
	return c.dirty.Load() != nil
}

// takeDirty empties the dirty list and calls do for each series on it.
func (c *constants) takeDirty(do func(*series)) {
	c.taking.Lock()
	c.deletedDirty.Store(0)
	list := c.dirty.Swap(nil)
	c.taking.Unlock()
	for s := list; s != nil; {
		next := s.next
		s.next = nil
		s.dirty.Store(false)
		do(s)
		s = next
	}
}
