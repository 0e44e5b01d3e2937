// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// housekeep removes by age alone. A writer that seems dead may still have a
// batch on its way, so its sequence number stays until it can't have one.
func (a *app) housekeep(retention time.Duration, now time.Time) {
	for index, l := range a.leases {
		if l.expired(now) {
			delete(a.leases, index)
		}
	}
	for writer, set := range a.gauges {
		if !set.alive(now) {
			delete(a.gauges, writer)
		}
	}
	for _, f := range a.families {
		if f.control == nil {
			continue
		}
		for writer, p := range f.control.writers {
			if now.Sub(p.stamp) >= wire.SequenceAge {
				delete(f.control.writers, writer)
			}
		}
	}
	if retention <= 0 {
		return
	}
	for name, touched := range a.touched {
		f := a.families[name]
		if f != nil && f.control != nil && f.control.written.After(touched) {
			touched = f.control.written
		}
		if now.Sub(touched) >= retention {
			delete(a.touched, name)
			delete(a.families, name)
		}
	}
}
