// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// refreshPart is how many families a part of the refresh asks for: so many go in one pipeline.
const refreshPart = 128

// refresh makes the writer send all its gauges again, and ask for each family whether Redis still
// has what it had, once in each Opts.RefreshPeriod. It begins with the gauges. The families go with
// them if they are few. Otherwise they follow in parts that are spread over the period, so that a
// synchronous write waits for one part at most: for two round trips.
type refresh struct {
	at    time.Time     // when the next part is due, or the next refresh; zero before the first
	pause time.Duration // from one part to the next
	rest  []*family     // that it has not asked for yet
	whole bool          // the next one has no parts, but asks for everything at once: Redis may have an older state
}

// refreshDue does what is due of the refresh: it marks gauges and families, for the next flush
// run. It reports whether a refresh begins, and the families that should not wait for a flush.
func (w *writer) refreshDue(now time.Time) (begins bool, part []*family) {
	r := &w.schedule.refresh
	if !due(r.at, now) {
		return false, nil
	}
	if len(r.rest) > 0 && !r.whole {
		n := min(refreshPart, len(r.rest))
		part, r.rest = r.rest[:n], r.rest[n:]
		r.at = r.at.Add(r.pause) // not later where this part is late: the gauges may expire
		w.verifySoon(part)
		return false, part
	}
	w.beginRefresh(now)
	return true, nil
}

// beginRefresh begins a refresh, and sets when its parts and the next one are due.
func (w *writer) beginRefresh(now time.Time) {
	r, jitter := &w.schedule.refresh, &w.schedule.jitter
	w.gauges.refresh = true
	r.rest = *w.reg.families.Load()
	pause := jitter.early(w.opts.RefreshPeriod) // never later: an Expire may be just above the period
	switch {
	case r.at.IsZero(): // nothing is registered yet, and all processes may start at the same time
		r.rest, pause = nil, jitter.below(w.opts.RefreshPeriod)
	case r.whole || len(r.rest) <= refreshPart:
		w.verifySoon(r.rest)
		r.rest = nil
	}
	parts := (len(r.rest) + refreshPart - 1) / refreshPart
	r.whole, r.pause = false, pause/time.Duration(parts+1)
	r.at = now.Add(r.pause)
}

// refreshNow makes the next tick send all gauges again, and ask for every family.
func (r *refresh) refreshNow(now time.Time) { r.at, r.whole = now, true }

// verifySoon makes the next flush run of these families ask whether Redis has them.
func (w *writer) verifySoon(families []*family) {
	for _, f := range families {
		f.out.unverified, f.out.vain = true, false
	}
	w.doubts++
}
