// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// stripes gathers observations between two drains. The sum and the bucket of an observation
// change under one lock, so a drain takes both or neither.
//
// Goroutines that observe at the same time spread over several stripes. Those beyond the
// first are made when the first is found locked: the locks of most series never are.
type stripes struct {
	first stripe
	more  atomic.Pointer[[extraStripes]stripe]
}

const extraStripes = 3

// stripe gathers observations under one lock. The padding keeps two stripes off one cache line.
type stripe struct {
	mu     sync.Mutex
	sum    float64  // guarded by mu
	bucket []uint64 // counts; a summary has one for all observations; guarded by mu
	_      [64]byte
}

func (c *stripes) init(buckets int) {
	c.first.bucket = make([]uint64, buckets)
}

// observe adds one observation to the bucket with this index.
func (c *stripes) observe(v float64, bucket int) {
	s := c.lock()
	s.sum += v
	s.bucket[bucket]++
	s.mu.Unlock()
}

// lock locks a stripe, if possible one that nobody holds, and returns it.
func (c *stripes) lock() *stripe {
	if c.first.mu.TryLock() {
		return &c.first
	}
	more := c.more.Load()
	if more == nil {
		more = c.grow()
	}
	for i := range more {
		if more[i].mu.TryLock() {
			return &more[i]
		}
	}
	c.first.mu.Lock()
	return &c.first
}

// grow makes the further stripes.
func (c *stripes) grow() *[extraStripes]stripe {
	more := new([extraStripes]stripe)
	for i := range more {
		more[i].bucket = make([]uint64, len(c.first.bucket))
	}
	if c.more.CompareAndSwap(nil, more) {
		return more
	}
	return c.more.Load()
}

// take removes what was gathered. It returns the sum and adds the counts to bucket, which is
// as long as those of the stripes.
func (c *stripes) take(bucket []uint64) (sum float64) {
	take := func(s *stripe) {
		s.mu.Lock()
		defer s.mu.Unlock()
		sum += wire.Clamp(s.sum) // infinities of both signs would add up to NaN
		s.sum = 0
		for i, n := range s.bucket {
			bucket[i] += n
			s.bucket[i] = 0
		}
	}
	take(&c.first)
	if more := c.more.Load(); more != nil {
		for i := range more {
			take(&more[i])
		}
	}
	return wire.Clamp(sum)
}

// empty says whether nothing was observed since the last drain.
func (c *stripes) empty() bool {
	empty := func(s *stripe) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.bucket, func(n uint64) bool { return n > 0 })
	}
	if more := c.more.Load(); more != nil {
		for i := range more {
			if !empty(&more[i]) {
				return false
			}
		}
	}
	return empty(&c.first)
}

// moveStripes moves what was gathered to other stripes with the same buckets.
func (c *stripes) moveStripes(other *stripes) {
	bucket := make([]uint64, len(c.first.bucket))
	sum := c.take(bucket)
	s := other.lock()
	defer s.mu.Unlock()
	s.sum += sum
	for i, n := range bucket {
		s.bucket[i] += n
	}
}
