// SPDX-License-Identifier: Apache-2.0

// Package hashtable finds entries by the hash of their key. A lookup takes no
// lock, allocates nothing and copies no key: it is on the path of every request.
package hashtable

import "sync/atomic"

// Table is a hash table of *E with open addressing: linear probing over a power of
// two of slots, at most three quarters of them used. A slot only ever goes from
// empty to an entry, and from an entry to removed; growing publishes a new array, so
// that a lookup meanwhile goes on with the old one. The zero Table is empty.
//
// Lookups need no lock. The owner makes changes under a lock of its own.
type Table[E any] struct {
	slots   atomic.Pointer[[]atomic.Pointer[E]]
	removed *E  // marks a slot whose entry was removed, so that probing goes on
	used    int // slots that are not empty, removed ones included
	live    atomic.Int64
}

// Probe goes through the entries that may have a hash.
type Probe[E any] struct {
	slots []atomic.Pointer[E]
	next  uint64
}

// Probe begins a lookup. The caller compares hash and key of each entry that Next
// gives, until it has found its own or there is none: a removed entry has the hash
// 0 and the zero key.
func (t *Table[E]) Probe(hash uint64) Probe[E] {
	if slots := t.slots.Load(); slots != nil {
		return Probe[E]{*slots, hash}
	}
	return Probe[E]{}
}

// Next returns the next entry, nil if there is none.
func (p *Probe[E]) Next() *E {
	if len(p.slots) == 0 {
		return nil
	}
	e := p.slots[p.next&uint64(len(p.slots)-1)].Load()
	p.next++
	return e
}

// Removed says whether e stands for a removed entry.
func (t *Table[E]) Removed(e *E) bool { return e == t.removed }

// Len returns how many entries there are.
func (t *Table[E]) Len() int { return int(t.live.Load()) }

// Insert adds e, which is not in the table yet. hashOf returns the hash of any entry:
// if the table grows, all entries are inserted again.
func (t *Table[E]) Insert(e *E, hashOf func(*E) uint64) {
	slots := t.slots.Load()
	if slots == nil || (t.used+1)*4 > len(*slots)*3 {
		slots = t.rebuild(hashOf)
	}
	insert(*slots, e, hashOf(e))
	t.used++
	t.live.Add(1)
}

// Remove takes e out, which is in the table and has this hash.
func (t *Table[E]) Remove(e *E, hash uint64) {
	slots := *t.slots.Load()
	for i := hash; ; i++ {
		if slots[i&uint64(len(slots)-1)].CompareAndSwap(e, t.removed) {
			t.live.Add(-1)
			return
		}
	}
}

// rebuild publishes an array with room for twice the live entries.
func (t *Table[E]) rebuild(hashOf func(*E) uint64) *[]atomic.Pointer[E] {
	if t.removed == nil {
		t.removed = new(E)
	}
	size := 8
	for size < 3*(t.Len()+1) {
		size *= 2
	}
	slots := make([]atomic.Pointer[E], size)
	t.Each(func(e *E) { insert(slots, e, hashOf(e)) })
	t.used = t.Len()
	t.slots.Store(&slots)
	return &slots
}

func insert[E any](slots []atomic.Pointer[E], e *E, hash uint64) {
	mask := uint64(len(slots) - 1)
	i := hash & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(e)
}

// Each calls f for every entry. Entries that come or go meanwhile may be seen or
// not.
func (t *Table[E]) Each(f func(*E)) {
	if slots := t.slots.Load(); slots != nil {
		for i := range *slots {
			if e := (*slots)[i].Load(); e != nil && e != t.removed {
				f(e)
			}
		}
	}
}
