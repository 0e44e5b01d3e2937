// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"strings"
)

// curry is what a curried vector has fixed. It never changes.
type curry struct {
	values []string // for each label of the metric; of the fixed ones only
	fixed  []bool   // parallel to values
	rest   []string // the names of the other labels, in the order of the declaration
}

// CurryWith returns a vector of the same metric in which these labels have these values: its
// With, WithLabelValues and their like, Delete and DeleteLabelValues take the remaining labels,
// in the same order as before. Both vectors return the same children. The error names a label that
// the metric does not have, or that is curried already. A constant label cannot be curried.
//
// As in client_golang, [Vec.Reset] and [Vec.DeletePartialMatch] act on the whole metric, not on
// the curried vector alone: Reset deletes all series, and DeletePartialMatch takes no curried label
// and deletes all series that match the others. To delete the series of a curried vector, call
// DeletePartialMatch of the vector from which it was made.
func (v *Vec[M]) CurryWith(labels Labels) (*Vec[M], error) {
	d, names := &v.consts.fam.def, v.labelNames()
	for name := range labels {
		switch {
		case slices.Contains(names, name):
		case slices.Contains(v.consts.names, name):
			return nil, fmt.Errorf("shoal: %s %q: the label %q is curried already: give some of %q", d.kind, d.name, name, names)
		default:
			return nil, fmt.Errorf("shoal: %s %q: the label %q is unknown: give some of %q", d.kind, d.name, name, names)
		}
	}
	c := &curry{values: make([]string, len(v.consts.names)), fixed: make([]bool, len(v.consts.names))}
	for i, name := range v.consts.names {
		if value, ok := labels[name]; ok {
			c.values[i], c.fixed[i] = strings.Clone(v.consts.fam.repair(value)), true
		} else if v.curry != nil && v.curry.fixed[i] {
			c.values[i], c.fixed[i] = v.curry.values[i], true
		} else {
			c.rest = append(c.rest, name)
		}
	}
	return &Vec[M]{consts: v.consts, curry: c}, nil
}

// MustCurryWith is [Vec.CurryWith] with a panic in place of the error.
func (v *Vec[M]) MustCurryWith(labels Labels) *Vec[M] { return must(v.CurryWith(labels)) }

// curriedOnStack is up to how many labels a curried lookup does not allocate.
const curriedOnStack = 8

// curries says whether the label is curried.
func (v *Vec[M]) curries(name string) bool {
	i := slices.Index(v.consts.names, name)
	return i >= 0 && v.curry != nil && v.curry.fixed[i]
}

// complete appends to dst the values of all labels: those that are fixed, and the others from
// rest, which has as many.
func (c *curry) complete(dst, rest []string) []string {
	for i, value := range c.values {
		if !c.fixed[i] {
			value, rest = rest[0], rest[1:]
		}
		dst = append(dst, value)
	}
	return dst
}

// curriedChild is GetMetricWithLabelValues of a curried vector.
func (v *Vec[M]) curriedChild(rest []string) (*M, error) {
	if len(rest) != len(v.curry.rest) {
		d := &v.consts.fam.def
		return nil, fmt.Errorf("shoal: %s %q, curried, has the %d labels %q left and got %d values",
			d.kind, d.name, len(v.curry.rest), v.curry.rest, len(rest))
	}
	var stack [curriedOnStack]string
	s, err := v.consts.child(v.curry.complete(stack[:0], rest))
	if err != nil {
		return nil, err
	}
	return s.metric.(*M), nil
}
