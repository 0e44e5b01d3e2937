// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

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

// selfPause is the time between two flushes that take shoal's own metrics along.
const selfPause = 10 * time.Second

// own says whether the metric is one of shoal's own.
func (d *definition) own() bool { return d.cadence != everyFlush }

// active says whether a family of one of the cadences up to this one has something
// to send, or the gauges have.
func (w *writer) active(upTo cadence) bool {
	if w.gauges.all() || w.reg.gaugesForgotten.Load() {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if f.def.cadence <= upTo && (f.out.generation == "" || f.hasWork()) {
			return true
		}
	}
	return false
}

// hasWork says whether the family has something to send.
func (f *family) hasWork() bool {
	return f.anyDirty() || len(f.out.queue) > 0 || f.hasQueued()
}

// hasQueued says whether somebody waits for the family, or a deletion does.
func (f *family) hasQueued() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters) > 0 || f.deletions.len() > 0
}

// awaited lists the families that a synchronous caller waits for.
func (w *writer) awaited() []*family {
	var list []*family
	for _, f := range *w.reg.families.Load() {
		f.mu.Lock()
		if len(f.waiters) > 0 {
			list = append(list, f)
		}
		f.mu.Unlock()
	}
	return list
}
