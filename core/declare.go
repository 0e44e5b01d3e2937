// SPDX-License-Identifier: Apache-2.0

package shoal

// Each metric can be declared in three ways: by New… on the default registry or on one of
// your own, which panics on a mistake, as the declaration of a package variable has to, and by
// Register…, which returns the error.

// RegisterCounter declares a counter.
func (r *Registry) RegisterCounter(o CounterOpts) (*Counter, error) {
	return single[Counter](r, o.definition(nil))
}

// RegisterCounterVec declares a counter with labels.
func (r *Registry) RegisterCounterVec(o CounterOpts, labelNames []string) (*CounterVec, error) {
	return vec[Counter](r, o.definition(labelNames))
}

// NewCounter declares a counter and panics where [Registry.RegisterCounter] returns an error.
func (r *Registry) NewCounter(o CounterOpts) *Counter { return must(r.RegisterCounter(o)) }

// NewCounterVec declares a counter with labels and panics where
// [Registry.RegisterCounterVec] returns an error.
func (r *Registry) NewCounterVec(o CounterOpts, labelNames []string) *CounterVec {
	return must(r.RegisterCounterVec(o, labelNames))
}

// RegisterGauge declares a gauge.
func (r *Registry) RegisterGauge(o GaugeOpts) (*Gauge, error) {
	return single[Gauge](r, o.definition(nil))
}

// RegisterGaugeVec declares a gauge with labels.
func (r *Registry) RegisterGaugeVec(o GaugeOpts, labelNames []string) (*GaugeVec, error) {
	return vec[Gauge](r, o.definition(labelNames))
}

// NewGauge declares a gauge and panics where [Registry.RegisterGauge] returns an error.
func (r *Registry) NewGauge(o GaugeOpts) *Gauge { return must(r.RegisterGauge(o)) }

// NewGaugeVec declares a gauge with labels and panics where
// [Registry.RegisterGaugeVec] returns an error.
func (r *Registry) NewGaugeVec(o GaugeOpts, labelNames []string) *GaugeVec {
	return must(r.RegisterGaugeVec(o, labelNames))
}

// RegisterSummary declares a summary.
func (r *Registry) RegisterSummary(o SummaryOpts) (*Summary, error) {
	return single[Summary](r, o.definition(nil))
}

// RegisterSummaryVec declares a summary with labels.
func (r *Registry) RegisterSummaryVec(o SummaryOpts, labelNames []string) (*SummaryVec, error) {
	return vec[Summary](r, o.definition(labelNames))
}

// NewSummary declares a summary and panics where [Registry.RegisterSummary] returns an error.
func (r *Registry) NewSummary(o SummaryOpts) *Summary { return must(r.RegisterSummary(o)) }

// NewSummaryVec declares a summary with labels and panics where
// [Registry.RegisterSummaryVec] returns an error.
func (r *Registry) NewSummaryVec(o SummaryOpts, labelNames []string) *SummaryVec {
	return must(r.RegisterSummaryVec(o, labelNames))
}

// RegisterHistogram declares a histogram.
func (r *Registry) RegisterHistogram(o HistogramOpts) (*Histogram, error) {
	return single[Histogram](r, o.definition(nil))
}

// RegisterHistogramVec declares a histogram with labels.
func (r *Registry) RegisterHistogramVec(o HistogramOpts, labelNames []string) (*HistogramVec, error) {
	return vec[Histogram](r, o.definition(labelNames))
}

// NewHistogram declares a histogram and panics where [Registry.RegisterHistogram] returns an error.
func (r *Registry) NewHistogram(o HistogramOpts) *Histogram { return must(r.RegisterHistogram(o)) }

// NewHistogramVec declares a histogram with labels and panics where
// [Registry.RegisterHistogramVec] returns an error.
func (r *Registry) NewHistogramVec(o HistogramOpts, labelNames []string) *HistogramVec {
	return must(r.RegisterHistogramVec(o, labelNames))
}
