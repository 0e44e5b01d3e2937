// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"

	shoal "github.com/shoal-metrics/shoal/core"
)

// handles are the children of one set of label values. Those that are not
// wanted are nil; of a skipped route all are.
type handles struct {
	requests     *shoal.Counter
	duration     *shoal.Histogram
	summary      *shoal.Summary
	requestSize  *shoal.Histogram
	responseSize *shoal.Histogram
}

const (
	// maxCached bounds the memory of the cache. It is above the series that a
	// family may have by default, so it matters only where labels from
	// requests are unbounded; what exceeds it is looked up in the core.
	maxCached = 16384
	// maxKey bounds the length of a cached key, for the same reason.
	maxKey = 512
)

// cache finds handles by key. A hit costs one lookup in a map that never
// changes. What is missing there is looked for in a second map, under a lock;
// once as many lookups have missed as that map has entries, a copy of it
// becomes the first one. So the copying costs no more than the misses did,
// however many entries come.
type cache struct {
	settled atomic.Pointer[map[string]*handles] // the map is never written

	mu     sync.Mutex
	all    map[string]*handles // guarded by mu; a superset of settled
	misses int                 // guarded by mu; since the last copy
}

func newCache() *cache {
	c := &cache{all: map[string]*handles{}}
	c.settled.Store(&map[string]*handles{})
	return c
}

// get returns the handles that were put under key, or nil.
func (c *cache) get(key []byte) *handles {
	if h := (*c.settled.Load())[string(key)]; h != nil {
		return h
	}
	return c.getUnsettled(key)
}

func (c *cache) getUnsettled(key []byte) *handles {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.all[string(key)]
	if h != nil {
		c.countMiss()
	}
	return h
}

// put keeps h under key if there is room.
func (c *cache) put(key []byte, h *handles) {
	if len(key) > maxKey {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= maxCached {
		return
	}
	c.all[string(key)] = h
	c.countMiss()
}

// countMiss needs mu.
func (c *cache) countMiss() {
	c.misses++
	if c.misses < len(c.all) || len(c.all) == len(*c.settled.Load()) {
		return
	}
	settled := maps.Clone(c.all)
	c.settled.Store(&settled)
	c.misses = 0
}

// appendKey makes a key that no other set of values shares: the numbers have a
// fixed width, the further labels their length before them, and the route,
// which may hold anything, is last.
func appendKey(key []byte, method uint8, code uint16, route string, labels []string) []byte {
	key = append(key, method, byte(code>>8), byte(code))
	for _, v := range labels {
		key = binary.AppendUvarint(key, uint64(len(v)))
		key = append(key, v...)
	}
	return append(key, route...)
}
