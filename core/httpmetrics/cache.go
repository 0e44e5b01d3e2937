// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/hashtable"
)

// key is what tells requests apart.
type key struct {
	method uint8
	code   uint16
	route  string
	labels []string // the values of Opts.Labels
}

// handles are the children of one key. Those that are not wanted are nil; of a
// skipped route all are.
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
	// maxKey bounds the length of the strings in a key, for the same reason.
	maxKey = 512
)

// cache finds handles by key, without a lock and without joining the key's
// strings: a map with joined strings as keys takes a fifth longer.
type cache struct {
	entries hashtable.Table[entry]
	mu      sync.Mutex // serialises changes
}

type entry struct {
	key
	hash    uint64
	handles handles
}

var hashSeed = maphash.MakeSeed()

func (k *key) hash() uint64 {
	h := maphash.String(hashSeed, k.route) ^ (uint64(k.code)<<8 | uint64(k.method))
	for _, v := range k.labels {
		h = mixed(h) ^ maphash.String(hashSeed, v)
	}
	return mixed(h)
}

// mixed spreads every bit over the low ones, by which the table is searched.
func mixed(h uint64) uint64 {
	h *= 0x9E3779B97F4A7C15
	return h ^ h>>32
}

func (k *key) equal(other *key) bool {
	return k.method == other.method && k.code == other.code && k.route == other.route &&
		slices.Equal(k.labels, other.labels)
}

// get returns the handles that were put under k, or nil.
func (c *cache) get(k *key) *handles {
	hash := k.hash()
	p := c.entries.Probe(hash)
	for {
		e := p.Next()
		if e == nil {
			return nil
		}
		if e.hash == hash && e.equal(k) {
			return &e.handles
		}
	}
}

// put keeps h under k if there is room. It keeps nothing else of k's.
func (c *cache) put(k *key, h handles) {
	size := len(k.route)
	for _, v := range k.labels {
		size += len(v)
	}
	if size > maxKey {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries.Len() >= maxCached || c.get(k) != nil {
		return
	}
	e := &entry{key: *k, hash: k.hash(), handles: h}
	e.route, e.labels = strings.Clone(k.route), slices.Clone(k.labels)
	for i, v := range e.labels {
		e.labels[i] = strings.Clone(v)
	}
	c.entries.Insert(e, func(e *entry) uint64 { return e.hash })
}
