// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"slices"
	"strconv"
	"testing"
)

func TestByBucket_EachBucketIsChangedByOneCallOrTwo(t *testing.T) {
	fields := make([]string, 5000)
	for i := range fields {
		fields[i] = "k" + Separator + strconv.Itoa(i)
	}
	ordered := ByBucket(fields, func(field string) string { return field })
	calls := map[int]int{}
	for part := range slices.Chunk(ordered, MaxMarked) {
		buckets := map[int]bool{}
		for _, field := range part {
			buckets[placeOf(field).bucket] = true
		}
		for b := range buckets {
			calls[b]++
		}
	}
	for b, n := range calls {
		if n > 2 {
			t.Errorf("%d calls change bucket %d", n, b)
		}
	}
	if slices.Sort(ordered); !slices.Equal(ordered, slices.Sorted(slices.Values(fields))) {
		t.Errorf("%d fields of %d are left, or others", len(ordered), len(fields))
	}
}
