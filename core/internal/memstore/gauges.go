// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// gaugeSet is the key of one writer's gauges. It expires, and the version with it, at the
// latest deadline that an entry had since the last full write.
type gaugeSet struct {
	version  uint64
	deadline time.Time
	entries  map[string]gauge
}

type gauge struct {
	text     string
	deadline time.Time
}

// writeGauges first looks at the lease: a process that lost its index must not bring back
// what its successor replaced.
func (a *app) writeGauges(w wire.GaugeWrite, now time.Time) wire.GaugeStatus {
	if held, ok := a.leases[w.Index]; !ok || held.writer != w.Writer {
		return wire.GaugesLostLease
	}
	set := a.gauges[w.Writer]
	if set != nil && !set.alive(now) {
		set = nil
	}
	var version uint64
	if set != nil {
		version = set.version
	}
	switch {
	case version > w.Version:
		return wire.GaugesAhead
	case version == w.Version:
		return wire.GaugesDuplicate
	}
	if !w.Full && version+1 != w.Version {
		return wire.GaugesWantFull
	}
	if set == nil || w.Full {
		set = &gaugeSet{entries: make(map[string]gauge)}
		a.gauges[w.Writer] = set
	}
	set.version = w.Version
	for _, op := range w.Ops {
		if op.Delete {
			delete(set.entries, op.Field)
			continue
		}
		end := deadline(now, max(op.Expire, time.Millisecond))
		set.entries[op.Field] = gauge{op.Value, end}
		if end.After(set.deadline) {
			set.deadline = end
		}
	}
	if len(set.entries) == 0 {
		delete(a.gauges, w.Writer)
	}
	if w.Own > 0 && len(set.entries) > w.Own && !w.Full {
		return wire.GaugesMixed
	}
	return wire.GaugesOK
}

// alive says whether the key still exists.
func (g *gaugeSet) alive(now time.Time) bool { return now.Before(g.deadline) }

// living returns the entries whose own deadline has not passed.
func (g *gaugeSet) living(now time.Time) []wire.Series {
	if g == nil {
		return nil
	}
	var series []wire.Series
	for _, field := range slices.Sorted(maps.Keys(g.entries)) {
		if entry := g.entries[field]; now.Before(entry.deadline) {
			series = append(series, wire.Series{Field: field, Text: entry.text})
		}
	}
	return series
}
