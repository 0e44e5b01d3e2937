// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"github.com/shoal-metrics/shoal/core/internal/page"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// selfMetrics are shoal's metrics of itself. They are stored and summed as any
// other; alone they cause no flush. A process tells Redis of those alone that have counted
// something, and pages add the zeros of the others: a process that lives for one flush
// would else send little but zeros. docs/operations.md tells what each means.
type selfMetrics struct {
	shown []page.Own // what pages know of them

	flushDuration   *Histogram
	flushFailures   *Counter
	pendingBatches  *Gauge
	pendingAge      *Gauge
	rejected        *CounterVec
	overflowed      *CounterVec
	lost            *CounterVec
	removed         *CounterVec
	corrupt         *Counter
	gaugeFuncFails  *Counter
	sourceFails     *CounterVec
	scrapeDuration  *Histogram
	scrapeFailures  *Counter
	scrapeStale     *Counter
	omittedFamilies *Counter
	unconfirmed     *Counter
}

// declare declares them; the registry is new, so nothing can clash.
func (m *selfMetrics) declare(r *Registry) {
	counter := func(name, help string) *Counter {
		m.shown = append(m.shown, page.Own{Name: name, Help: help, Type: wire.TypeCounter})
		d := CounterOpts{Name: name, Help: help}.definition(nil)
		d.cadence = alongside
		return must(single[Counter](r, d))
	}
	counterVec := func(name, help, label string, values ...string) *CounterVec {
		m.shown = append(m.shown, page.Own{Name: name, Help: help, Type: wire.TypeCounter, Label: label, Values: values})
		d := CounterOpts{Name: name, Help: help}.definition([]string{label})
		d.cadence = alongside
		return must(vec[Counter](r, d))
	}
	gauge := func(name, help string) *Gauge {
		m.shown = append(m.shown, page.Own{Name: name, Help: help, Type: wire.TypeGauge, PerProcess: true})
		d := GaugeOpts{Name: name, Help: help}.definition(nil)
		d.cadence = alongside
		return must(single[Gauge](r, d))
	}
	seconds := func(name, help string) *Histogram {
		d := definition{name: name, help: help, kind: wire.TypeHistogram, cadence: alongsideUnasked}
		d.setBuckets([]float64{.001, .005, .025, .1, .5, 2.5, 10})
		m.shown = append(m.shown, page.Own{Name: name, Help: help, Type: wire.TypeHistogram, Bounds: d.upper})
		return must(single[Histogram](r, d))
	}
	m.flushDuration = seconds("shoal_flush_duration_seconds", "Time that a flush to Redis took.")
	m.flushFailures = counter("shoal_flush_failures_total", "Flushes that did not bring everything to Redis and are tried again.")
	m.pendingBatches = gauge("shoal_pending_batches", "Batches that Redis has not acknowledged.")
	m.pendingAge = gauge("shoal_pending_age_seconds", "Age of the oldest batch that Redis has not acknowledged.")
	m.rejected = counterVec("shoal_rejected_observations_total", "Values and deletions that were dropped, and label values that were repaired.", "reason",
		reasonNaN, reasonInfinite, reasonNegative, reasonInvalidUTF8, reasonLongLabel,
		reasonAddOnLatest, reasonSetOnTotal, reasonDeletion, reasonBeyondCap)
	m.overflowed = counterVec("shoal_overflowed_writes_total", "Writes that went to an overflow series because their family had reached its cap.", "family")
	m.lost = counterVec("shoal_lost_batches_total", "Batches that Redis lost, or that it may or may not have.", "reason", lossReasons...)
	m.removed = counterVec("shoal_removed_series_total", "Series that left Redis.", "reason", removedIdle, removedExpired, removedDeleted)
	m.corrupt = counter("shoal_corrupt_values_total", "What Redis held that shoal does not write, and that was replaced or omitted from the page.")
	m.gaugeFuncFails = counter("shoal_gaugefunc_panics_total", "Gauge and counter functions that panicked.")
	m.sourceFails = counterVec("shoal_source_failures_total", "Failures of sources of other clients' metrics.", "reason",
		failedError, failedRefused, failedPanic, failedLate, failedClosing)
	m.scrapeDuration = seconds("shoal_scrape_duration_seconds", "Time that reading Redis for a scrape took.")
	m.scrapeFailures = counter("shoal_scrape_failures_total", "Scrapes that were answered with an error.")
	m.scrapeStale = counter("shoal_scrape_flush_failures_total", "Scrapes before which the answering process could not flush its own values.")
	m.omittedFamilies = counter("shoal_omitted_families_total", "Families omitted from a page because their names clash, their keys are damaged or they do not fit.")
	m.unconfirmed = counter("shoal_unconfirmed_scrapes_total", "Pages shown after a restart or failover of Redis that not every process had confirmed.")
}

// Why series were removed: the label of shoal_removed_series_total.
const (
	removedIdle    = "idle"    // no process held them for the metric's Retention
	removedExpired = "expired" // values of Latest gauges, past their Expire
	removedDeleted = "deleted" // by Delete or Reset
)

// removed counts the series that housekeeping removed.
func (r *Registry) removed(n wire.Removed) {
	r.countRemoved(removedIdle, n.Idle)
	r.countRemoved(removedExpired, n.Expired)
}

// countRemoved counts series that were removed. Most often there are none.
func (r *Registry) countRemoved(reason string, n int) {
	if n > 0 {
		r.self.removed.WithLabelValues(reason).Add(float64(n))
	}
}

// reject counts a value that the metric may not take, which is dropped, or a label value
// that was repaired.
func (r *Registry) reject(reason string, f *family) {
	r.self.rejected.WithLabelValues(reason).Inc()
	r.report("rejected "+f.def.name, &rejectedError{f, reason})
}

// rejectedError tells of such a value.
type rejectedError struct {
	f      *family
	reason string
}

func (e *rejectedError) Error() string {
	what := "a value was dropped"
	if e.reason == reasonInvalidUTF8 || e.reason == reasonLongLabel {
		what = "a label value was repaired"
	}
	return "shoal: " + e.f.def.kind + " " + e.f.def.name + ": " + what + " (" + e.reason +
		"); shoal_rejected_observations_total counts them" + remedies[e.reason]
}
