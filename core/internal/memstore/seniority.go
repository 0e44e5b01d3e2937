// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// stampFor returns the stamp of a candidate that gets or renews its
// lease at this index: the one that it has, if its lease has not
// expired, or else one behind all others. See [wire.Lease.Stamp].
func (a *app) stampFor(req wire.HoldRequest, index int, now time.Time) int64 {
	had := a.leases[index]
	switch {
	case !req.Candidate:
		return 0
	case had.stamp > 0 && had.writer == req.Writer && !had.expired(now) && index == req.Index:
		return had.stamp
	}
	a.stamp = max(now.UnixMilli(), a.stamp+1)
	return a.stamp
}

// noteLeft notes when a candidate's entry goes: when its lease expired, or else now.
func (a *app) noteLeft(had lease, now time.Time) {
	if had.stamp == 0 {
		return
	}
	now = now.Truncate(time.Millisecond)
	at := now.Add(time.Millisecond) // this millisecond has pages that it shows
	if had.expired(now) {
		at = had.deadline
	}
	if a.left.Before(at) || a.left.After(now.Add(time.Millisecond)) { // the clock was set back
		a.left = at
	}
}
