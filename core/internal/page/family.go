// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// shownFamily is one family of a page: its series as rows of numbers, from which
// each format is made. It is never changed once it is on a page.
type shownFamily struct {
	name   string
	help   string
	kind   string    // one of wire's types
	bounds []float64 // of a histogram, without +Inf
	labels *labelSets
	// perProcess says that each row is of one process, which its label gauge_index names.
	perProcess bool
	// rows has for each row the place of its label set; nil if each row has the
	// label set of its own place.
	rows []int
	// numbers holds width numbers for each row. Of a counter or gauge, its
	// value; of a summary, sum and count; of a histogram, sum and the
	// cumulated buckets, +Inf last.
	numbers []float64
	// starts has for each label set when its series began, and now is when the page was
	// read, both in microseconds of Redis's clock; see start. starts is nil if no start is
	// known. A start that is not later than after is not shown either.
	starts []int64
	now    int64
	after  int64
	// What it shares with other families in OpenMetrics: the name that a counter has there, and
	// the name of the samples that tell when series began.
	sharesName, sharesCreated bool
}

// width is how many numbers a row has.
func (f *shownFamily) width() int {
	switch f.kind {
	case wire.TypeSummary:
		return 2
	case wire.TypeHistogram:
		return 1 + len(f.bounds) + 1
	}
	return 1
}

// len is how many rows there are.
func (f *shownFamily) len() int { return len(f.numbers) / f.width() }

// row returns the numbers of the row i and the place of its labels.
func (f *shownFamily) row(i int) (numbers []float64, labels int) {
	w := f.width()
	numbers, labels = f.numbers[i*w:(i+1)*w], i
	if f.rows != nil {
		labels = f.rows[i]
	}
	return numbers, labels
}

// addPlace notes which label set belongs to the row that was added last.
func (f *shownFamily) addPlace(labels int) {
	n := f.len()
	if f.rows == nil {
		if labels == n-1 {
			return
		}
		f.rows = make([]int, n-1, f.labels.len())
		for i := range f.rows {
			f.rows[i] = i
		}
	}
	f.rows = append(f.rows, labels)
}

// addLabelled adds a row of one number with labels of its own.
func (f *shownFamily) addLabelled(labels []wire.Label, value float64) {
	f.labels.decoded = append(f.labels.decoded, labels)
	f.numbers = append(f.numbers, value)
}

// upper returns the upper bound of the bucket i.
func (f *shownFamily) upper(i int) float64 {
	if i < len(f.bounds) {
		return f.bounds[i]
	}
	return math.Inf(1)
}

// toCount makes a count of a stored number, which anybody may have written.
func toCount(f float64) uint64 {
	return uint64(max(0, min(f, math.MaxInt64)))
}
