// SPDX-License-Identifier: Apache-2.0

package shoal

import "math"

// total says what is new of a number that another client keeps and that only grows. If the number
// falls, it began anew, from 0. The zero total has counted nothing.
type total struct {
	counted float64 // the number when it was last read
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
	began  int64    // when they began, in Unix nanoseconds, as their client says; 0 if it does not
	read   int64    // when they were read last
}

// restarted says whether the totals began anew since they were read last. It forgets then what was
// counted. Some clients compute the time at each reading, and not always the same, so only one that
// is later than the last reading says so. read is when this one was made.
func (t *totals) restarted(began, read int64) bool {
	restarted := began != 0 && began != t.began && began > t.read
	t.began, t.read = began, read
	if restarted {
		t.sum.counted = 0
		clear(t.counts)
	}
	return restarted
}

// grow takes the counts, which are cumulative, and turns them into what is new in each bucket. If
// one fell, all began anew. missing lists the ones that were not given, in ascending order: of such a
// one at least as much is new as of the one before it.
func (t *totals) grow(counts []uint64, missing []int, began, read int64) {
	if t.counts == nil {
		t.counts = make([]uint64, len(counts))
	}
	if !t.restarted(began, read) && t.fell(counts, missing, began) {
		t.sum.counted = 0
		clear(t.counts)
	}
	room, above := uint64(math.MaxUint64), missing // what is new up to the next larger bound, and those not passed yet
	for i := len(counts) - 1; i >= 0; i-- {
		added := max(counts[i], t.counts[i]) - t.counts[i]
		counts[i] = min(added, room) // of a client that reads its buckets one by one, the rest comes with the next reading
		if n := len(above) - 1; n >= 0 && above[n] == i {
			above = above[:n]
		} else {
			room = counts[i]
		}
	}
	for i := range counts {
		counts[i] = max(counts[i], counts[max(i-1, 0)])
		t.counts[i] += counts[i]
	}
	each(counts)
}

// fell says whether the counts are smaller than before, and so began anew. Of a client that gives
// created timestamps, only the count of all observations tells: a bucket that falls while that
// grows comes from a client that reads its buckets one by one. A bucket that is missing tells nothing.
func (t *totals) fell(counts []uint64, missing []int, began int64) bool {
	last := len(counts) - 1
	if counts[last] < t.counts[last] {
		return true
	}
	for i, n := range counts {
		switch {
		case len(missing) > 0 && missing[0] == i:
			missing = missing[1:]
		case n < t.counts[i] && began == 0:
			return true
		}
	}
	return false
}
