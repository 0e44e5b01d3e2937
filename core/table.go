// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// table finds the series of a family by its label values. Looking up takes no
// lock and allocates nothing: it is on the path of every request.
//
// Open addressing with linear probing over a power of two of slots, at most
// three quarters of them used. Slots only ever go from empty to a series and
// from a series to removed; growing and cleaning publish a new array.
type table struct {
	slots atomic.Pointer[[]atomic.Pointer[series]]

	mu   sync.Mutex // serialises changes
	used int        // slots that are not empty, removed ones included; guarded by mu
	live atomic.Int64
}

// removed marks a slot whose series was deleted, so that probing goes on.
var removed = new(series)

var hashSeed = maphash.MakeSeed()

// hashValues mixes the values' hashes in order, so that ("a","b") and
// ("b","a") differ and no joined copy is needed.
func hashValues(values []string) uint64 {
	var h uint64
	for _, v := range values {
		h = (h ^ maphash.String(hashSeed, v)) * 0x9E3779B97F4A7C15
	}
	return h ^ h>>32
}

// get returns the series with these label values, or nil.
func (t *table) get(hash uint64, values []string) *series {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	mask := uint64(len(*slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := (*slots)[i].Load()
		if s == nil {
			return nil
		}
		if s.hash == hash && s != removed && slices.Equal(s.values, values) {
			return s
		}
	}
}

// put adds s unless its label values are taken or the table has limit series
// already. It returns what the table then holds for them, or nil.
func (t *table) put(s *series, limit int) *series {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.get(s.hash, s.values); old != nil {
		return old
	}
	if int(t.live.Load()) >= limit {
		return nil
	}
	slots := t.slots.Load()
	if slots == nil || (t.used+1)*4 > len(*slots)*3 {
		slots = t.rebuild()
	}
	t.insert(*slots, s)
	s.outside.Store(false)
	t.used++
	t.live.Add(1)
	return s
}

// replace puts s in the place of whatever the table holds for its label values.
func (t *table) replace(s *series) {
	t.remove(s.hash, s.values)
	t.put(s, int(^uint(0)>>1))
}

// remove takes the series with these label values out and returns it, or nil.
func (t *table) remove(hash uint64, values []string) *series {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(hash, values)
	if s == nil {
		return nil
	}
	s.outside.Store(true) // before another can take its place
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if slots[i].CompareAndSwap(s, removed) {
			t.live.Add(-1)
			return s
		}
	}
}

// rebuild publishes an array with room for twice the live series. The caller
// holds mu.
func (t *table) rebuild() *[]atomic.Pointer[series] {
	size := 8
	for size < 3*int(t.live.Load()+1) {
		size *= 2
	}
	slots := make([]atomic.Pointer[series], size)
	t.each(func(s *series) { t.insert(slots, s) })
	t.used = int(t.live.Load())
	t.slots.Store(&slots)
	return &slots
}

func (t *table) insert(slots []atomic.Pointer[series], s *series) {
	mask := uint64(len(slots) - 1)
	i := s.hash & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(s)
}

// each calls f for every series. Series that come or go meanwhile may be seen
// or not.
func (t *table) each(f func(*series)) {
	if slots := t.slots.Load(); slots != nil {
		for i := range *slots {
			if s := (*slots)[i].Load(); s != nil && s != removed {
				f(s)
			}
		}
	}
}
