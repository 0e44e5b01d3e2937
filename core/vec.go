// SPDX-License-Identifier: Apache-2.0

package shoal

import "fmt"

// Vec is a metric with labels: one child of type M for each set of label values. Its methods
// are safe for concurrent use.
//
// A child is on the page with the value 0 from when it is asked for, so that rate() sees its
// first event; a gauge, unless it is a [Total], from its first write. Label sets beyond
// Opts.SeriesLimit share one series, all of whose label values are "shoal_overflow"; a value
// that is set on a gauge beyond it is dropped. A label value that is not valid UTF-8 is
// repaired with U+FFFD, and one of more than 1,024 bytes is cut.
// shoal_rejected_observations_total counts all three.
//
// A process holds the series of its children: as long as it lives and the series is not
// deleted, the series stays, however seldom it is written. What no living process holds
// leaves Redis and the page after the metric's Retention.
type Vec[M Counter | Gauge | Summary | Histogram] struct {
	consts *constants
	curry  *curry // nil if no label is curried
}

// CounterVec is a counter with labels.
type CounterVec = Vec[Counter]

// GaugeVec is a gauge with labels.
type GaugeVec = Vec[Gauge]

// SummaryVec is a summary with labels.
type SummaryVec = Vec[Summary]

// HistogramVec is a histogram with labels.
type HistogramVec = Vec[Histogram]

// WithLabelValues returns the child with these label values, in the order of
// the declaration's label names. It panics if their number is wrong.
func (v *Vec[M]) WithLabelValues(values ...string) *M {
	if v.curry != nil {
		return must(v.curriedChild(values))
	}
	s, err := v.consts.child(values)
	if err != nil {
		panic(err)
	}
	return s.metric.(*M)
}

// GetMetricWithLabelValues is [Vec.WithLabelValues] with an error in place of
// the panic.
func (v *Vec[M]) GetMetricWithLabelValues(values ...string) (*M, error) {
	if v.curry != nil {
		return v.curriedChild(values)
	}
	s, err := v.consts.child(values)
	if err != nil {
		return nil, err
	}
	return s.metric.(*M), nil
}

// With returns the child with these labels. It panics if one is missing or
// unknown.
func (v *Vec[M]) With(labels Labels) *M {
	m, err := v.GetMetricWith(labels)
	if err != nil {
		panic(err)
	}
	return m
}

// GetMetricWith is [Vec.With] with an error in place of the panic.
func (v *Vec[M]) GetMetricWith(labels Labels) (*M, error) {
	values, err := v.valuesOf(labels)
	if err != nil {
		return nil, err
	}
	return v.GetMetricWithLabelValues(values...)
}

// labelNames are the labels whose values the methods take: those that are not curried.
func (v *Vec[M]) labelNames() []string {
	if v.curry != nil {
		return v.curry.rest
	}
	return v.consts.names
}

// valuesOf returns the values of a complete set of labels, in the order of labelNames.
func (v *Vec[M]) valuesOf(labels Labels) ([]string, error) {
	d, names := &v.consts.fam.def, v.labelNames()
	values := make([]string, 0, len(names))
	for _, name := range names {
		value, ok := labels[name]
		if !ok {
			return nil, fmt.Errorf("shoal: %s %q: the label %q is missing: give exactly %q", d.kind, d.name, name, names)
		}
		values = append(values, value)
	}
	if len(labels) != len(values) {
		return nil, fmt.Errorf("shoal: %s %q: %d labels given: give exactly %q", d.kind, d.name, len(labels), names)
	}
	return values, nil
}
