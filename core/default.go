// SPDX-License-Identifier: Apache-2.0

package shoal

import "sync"

var defaultRegistry = sync.OnceValue(New)

// Default returns the registry on which the package's New… functions declare metrics: one for
// the whole process.
func Default() *Registry { return defaultRegistry() }

// NewCounter declares a counter on the default registry; see [Registry.NewCounter].
func NewCounter(o CounterOpts) *Counter { return Default().NewCounter(o) }

// NewCounterVec declares a counter with labels on the default registry; see
// [Registry.NewCounterVec].
func NewCounterVec(o CounterOpts, labelNames []string) *CounterVec {
	return Default().NewCounterVec(o, labelNames)
}

// NewGauge declares a gauge on the default registry; see [Registry.NewGauge].
func NewGauge(o GaugeOpts) *Gauge { return Default().NewGauge(o) }

// NewGaugeVec declares a gauge with labels on the default registry; see
// [Registry.NewGaugeVec].
func NewGaugeVec(o GaugeOpts, labelNames []string) *GaugeVec {
	return Default().NewGaugeVec(o, labelNames)
}

// NewSummary declares a summary on the default registry; see [Registry.NewSummary].
func NewSummary(o SummaryOpts) *Summary { return Default().NewSummary(o) }

// NewSummaryVec declares a summary with labels on the default registry; see
// [Registry.NewSummaryVec].
func NewSummaryVec(o SummaryOpts, labelNames []string) *SummaryVec {
	return Default().NewSummaryVec(o, labelNames)
}

// NewHistogram declares a histogram on the default registry; see [Registry.NewHistogram].
func NewHistogram(o HistogramOpts) *Histogram { return Default().NewHistogram(o) }

// NewHistogramVec declares a histogram with labels on the default registry; see
// [Registry.NewHistogramVec].
func NewHistogramVec(o HistogramOpts, labelNames []string) *HistogramVec {
	return Default().NewHistogramVec(o, labelNames)
}

// NewCounterFunc declares a counter function on the default registry; see
// [Registry.NewCounterFunc].
func NewCounterFunc(o CounterOpts, f func() float64) *CounterFunc {
	return Default().NewCounterFunc(o, f)
}

// NewGaugeFunc declares a gauge function on the default registry; see
// [Registry.NewGaugeFunc].
func NewGaugeFunc(o GaugeOpts, f func() float64) *GaugeFunc {
	return Default().NewGaugeFunc(o, f)
}
