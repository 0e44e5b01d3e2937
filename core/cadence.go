// SPDX-License-Identifier: Apache-2.0

package shoal

// cadence says how often a family is flushed, and what asks for a flush.
type cadence uint8

const (
	// everyFlush is for the application's metrics: a change asks for a flush.
	everyFlush cadence = iota
	// alongside is for shoal's own metrics. Each flush changes them, so sending them with
	// each would cost Redis two more calls. They are sent with one flush every selfPause, and
	// with each that somebody asks for, and cause no flush themselves.
	alongside
	// alongsideUnasked is for the durations of flushes and scrapes, which change with each
	// scrape. They are sent as those of alongside are, but a scrape does not wait for them:
	// that would cost each page a round trip.
	alongsideUnasked
)

// own says whether the metric is one of shoal's own.
func (c cadence) own() bool { return c != everyFlush }
