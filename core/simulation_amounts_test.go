// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// amounts are what a series adds up to: of a counter the value, else the sum and behind
// it the counts.
type amounts [5]float64

// amountIndex is where a component's amount stands; the bounds are those of the simulation's
// histogram.
var amountIndex = map[string]int{"": 0, wire.ComponentSum: 0, wire.ComponentCount: 1, "1": 1, "2": 2, "4": 3, "+Inf": 4}

func parseAmounts(text string) (a amounts) {
	vector, err := wire.ParseVector(nil, text)
	if err != nil {
		panic(err)
	}
	for _, c := range vector {
		a[amountIndex[c.Name]] = c.Value
	}
	return a
}

// below says whether a has less of anything than b.
func (a amounts) below(b amounts) bool {
	for i := range a {
		if a[i] < b[i] {
			return true
		}
	}
	return false
}

// sums are amounts by family and by the value of the one label.
type sums map[string]map[string]amounts

func (s sums) add(family, label string, a amounts) {
	if s[family] == nil {
		s[family] = map[string]amounts{}
	}
	sum := s[family][label]
	for i := range sum {
		sum[i] += a[i]
	}
	s[family][label] = sum
}

// addOps adds what a batch adds, if the family's values add up.
func (s sums) addOps(family string, ops []wire.Op) {
	for _, op := range ops {
		if op.Kind == wire.OpAdd && addsUp(family) {
			s.add(family, labelOf(op.Field), parseAmounts(op.Value))
		}
	}
}

func (s sums) clone() sums {
	c := maps.Clone(s)
	for family := range c {
		c[family] = maps.Clone(c[family])
	}
	return c
}

// labelOf is the one label's value of a stored field, or nothing.
func labelOf(field string) string {
	_, value, _ := strings.Cut(field, wire.Separator)
	return value
}
