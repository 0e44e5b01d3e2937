// SPDX-License-Identifier: Apache-2.0

package shoal

// total says what is new of a number that another client keeps and that only grows. If the number
// falls, it began anew, from 0. The zero total has counted nothing.
type total struct {
	counted float64 // the number when it was last read
	began   int64   // when the number began, in Unix nanoseconds, as its client says; 0 if it does not
}

// restarted says whether the number began anew since the last reading, which was made at read. If
// so, it forgets what was counted. Some clients compute the created timestamp at each reading, and
// do not always get the same: one that changed means a restart only if it is later than read.
func (t *total) restarted(began, read int64) bool {
	restarted := began != 0 && began != t.began && began > read
	t.began = began
	if restarted {
		t.counted = 0
	}
	return restarted
}

// grow returns what is new of the number. v is finite.
func (t *total) grow(v float64) (added float64) {
	if v < t.counted {
		t.counted = 0
	}
	return t.move(v)
}

// move is grow for a number that may fall: the sum of observations, some of which are negative.
func (t *total) move(v float64) (added float64) {
	added = v - t.counted
	t.counted = v // not what was added up, which rounding may have made more than v
	return added
}

// totals is a total of observations: their sum, and the count up to each bucket.
type totals struct {
	sum    total
	counts []uint64 // cumulative: each includes the ones before
}

// grow takes the counts, which are cumulative, and turns them into what is new in each bucket. If
// one fell, all began anew.
func (t *totals) grow(counts []uint64, began, read int64) {
	if t.counts == nil {
		t.counts = make([]uint64, len(counts))
	}
	if t.sum.restarted(began, read) || t.fell(counts, began) {
		t.sum.counted = 0
		clear(t.counts)
	}
	below := uint64(0) // what is new in all buckets before
	for i, n := range counts {
		added := max(n, t.counts[i]) - t.counts[i]
		added = max(added, below) // a client that reads its buckets one by one may give a later one too little
		t.counts[i] += added
		counts[i], below = added-below, added
	}
}

// fell says whether the counts are smaller than before, and so began anew. Of a client that gives
// created timestamps, only the count of all observations tells: a bucket that falls while that
// grows comes from a client that reads its buckets one by one.
func (t *totals) fell(counts []uint64, began int64) bool {
	last := len(counts) - 1
	if counts[last] < t.counts[last] {
		return true
	}
	for i, n := range counts {
		if n < t.counts[i] && began == 0 {
			return true
		}
	}
	return false
}
