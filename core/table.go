// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"

	"github.com/shoal-metrics/shoal/core/internal/hashtable"
)

// table finds the series of a family by its label values.
type table struct {
	series hashtable.Table[series]
	mu     sync.Mutex // serialises changes
}

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
	p := t.series.Probe(hash)
	for {
		s := p.Next()
		if s == nil || s.hash == hash && slices.Equal(s.values, values) && !t.series.Removed(s) {
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
	if t.series.Len() >= limit {
		return nil
	}
	t.series.Insert(s, func(s *series) uint64 { return s.hash })
	s.outside.Store(false)
	return s
}

// replace puts s in the place of whatever the table holds for its label values.
func (t *table) replace(s *series) {
	t.remove(s.hash, s.values)
	t.put(s, math.MaxInt)
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
	t.series.Remove(s, s.hash)
	return s
}
