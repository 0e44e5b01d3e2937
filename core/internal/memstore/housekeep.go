// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// takeTurn says whether the turn is the caller's, since none began within pause, and notes it.
// A turn in the future was written before the clock was set back. It is late if the last one
// was long ago: perhaps the clock was set forward.
func (a *app) takeTurn(pause time.Duration, now time.Time) (ours, late bool) {
	since := now.Sub(a.housekept)
	if !a.housekept.IsZero() && since >= 0 && since < pause {
		return false, false
	}
	late = !a.housekept.IsZero() && since > time.Hour
	a.housekept = now.Truncate(time.Millisecond)
	if late && pause > renewed {
		a.housekept = a.housekept.Add(renewed - pause)
	}
	return true, late
}

// renewed is how long after a late turn the next one is free: living processes have renewed then
// what looked old.
const renewed = time.Minute

// housekeep removes by age alone. What has a time in the future was written before the clock
// was set back: its age begins now. A writer that seems dead may still have a batch on its
// way, so its sequence number stays for SequenceAge.
func (a *app) housekeep(retention time.Duration, now time.Time) (removed wire.Removed) {
	for name := range a.touched {
		f := a.families[name]
		if f == nil || f.control == nil {
			continue
		}
		if c := f.control; c.epoch != c.swept && c.definition.Retention > 0 || c.definition.Latest() {
			more := f.removeIdle(now, a.large)
			removed.Idle += more.Idle
			removed.Expired += more.Expired
		}
	}
	for name, touched := range a.touched {
		removed.Idle += a.keepFamily(name, touched, retention, now)
	}
	return removed
}

// lapse removes expired leases and the gauges of dead processes.
func (a *app) lapse(now time.Time) {
	for index, l := range a.leases {
		if l.expired(now) || l.overlong(now) {
			a.noteLeft(l, now)
			delete(a.leases, index)
		}
	}
	for writer, set := range a.gauges {
		if !set.alive(now) {
			delete(a.gauges, writer)
		}
	}
}

// keepFamily prunes the sequence numbers of a family, or removes the family. It returns how
// many series went with it.
func (a *app) keepFamily(name string, touched time.Time, retention time.Duration, now time.Time) (series int) {
	f := a.families[name]
	if unknown := f == nil || f.control == nil && f.values == nil; !wire.IsMetricName(name) || len(name) > wire.MaxName ||
		unknown && (touched.After(now) || now.Sub(touched) > wire.UnregisteredFor) {
		delete(a.touched, name)
		return 0
	}
	if f == nil || f.control == nil { // the list alone knows its age
		f = &family{control: &control{written: touched}}
	}
	for writer, p := range f.control.writers {
		if p.stamp.After(now) {
			f.control.writers[writer] = progress{p.last, now}
		}
		if now.Unix()-p.stamp.Unix() >= int64(wire.SequenceAge/time.Second) {
			delete(f.control.writers, writer)
		}
	}
	own := f.control.definition.Retention
	switch {
	case retention <= 0 || now.Sub(touched) < retention && !touched.After(now):
	case f.control.written.After(now):
		f.control.written, a.touched[name] = now, now
	case f.control.generation != "" && own == 0, now.Sub(f.control.written) < max(retention, own):
		a.touched[name] = now // kept for ever or longer, or still written though nobody registers it
	default:
		if f := a.families[name]; f != nil && f.values != nil {
			series = len(f.values.series)
		}
		delete(a.touched, name)
		delete(a.families, name)
	}
	return series
}
