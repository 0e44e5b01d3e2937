// SPDX-License-Identifier: Apache-2.0

package shoal

// cadence says how often a family is flushed, and what asks for a flush.
type cadence uint8

const (
	// everyFlush is that of the application's metrics: a change asks for a flush.
	everyFlush cadence = iota
	// alongside is that of shoal's own metrics. They change with each flush, so each
	// would cost Redis two more calls: they go along every selfPause and with all that
	// somebody asks for, and ask for no flush.
	alongside
	// alongsideUnasked is that of how long flushes and scrapes take, which change with
	// each scrape. They go as alongside ones do, but a scrape does not wait for them: it
	// would cost each page a round trip.
	alongsideUnasked
)

// own says whether the metric is one of shoal's own.
func (c cadence) own() bool { return c != everyFlush }
