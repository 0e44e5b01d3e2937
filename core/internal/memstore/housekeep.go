// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// takeTurn says whether the turn is the caller's, since none began within pause, and notes it.
// A turn in the future was written before the clock was set back.
func (a *app) takeTurn(pause time.Duration, now time.Time) bool {
	if since := now.Sub(a.housekept); !a.housekept.IsZero() && since >= 0 && since < pause {
		return false
	}
	a.housekept = now.Truncate(time.Millisecond)
	return true
}

// housekeep removes by age alone. What has a time in the future was written before the clock
// was set back: its age begins now. A writer that seems dead may still have a batch on its
// way, so its sequence number stays for SequenceAge.
func (a *app) housekeep(retention time.Duration, now time.Time) {
	for index, l := range a.leases {
		if l.expired(now) || l.deadline.After(deadline(now, l.ttl)) {
			delete(a.leases, index)
		}
	}
	for writer, set := range a.gauges {
		if !set.alive(now) {
			delete(a.gauges, writer)
		}
	}
	for name, touched := range a.touched {
		f := a.families[name]
		if unknown := f == nil || f.control == nil && f.values == nil; !wire.IsMetricName(name) || len(name) > wire.MaxName ||
			unknown && (touched.After(now) || now.Sub(touched) > wire.UnregisteredFor) {
			delete(a.touched, name)
			continue
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
		switch {
		case retention <= 0 || now.Sub(touched) < retention && !touched.After(now):
		case f.control.written.After(now):
			f.control.written, a.touched[name] = now, now
		case now.Sub(f.control.written) < retention:
			a.touched[name] = now // still written, though nobody registers it
		default:
			delete(a.touched, name)
			delete(a.families, name)
		}
	}
}
