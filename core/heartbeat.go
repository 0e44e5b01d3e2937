// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// heartbeat reads the lineage and renews the lease when that is due. If Redis refuses
// the lease, it reports that and returns nil: only the gauges need a lease.
func (w *writer) heartbeat(now time.Time) error {
	if !w.lease.due(now) {
		return nil
	}
	// If this fails, the next heartbeat reads the lineage again. But after NOAUTH Redis
	// may close the connection, and the error of the next call would hide the reason.
	if err := w.readLineage(); wire.ReplyCode(err) == "NOAUTH" {
		return fmt.Errorf("shoal: renewing the lease: %w", err)
	}
	if !w.lineage.lost { // else the flush run tells when everything is back, the gauges too
		w.confirmLineage() // at the start there is no family to register
	}
	ctx, cancel := w.callContext()
	defer cancel()
	before, expires := monotonicNow(), time.Now().Add(w.opts.LeaseDuration)
	req := w.holdRequest()
	reply, err := w.store.Hold(ctx, req)
	switch {
	case err == nil:
		if w.clock.set(reply.Now, before, monotonicNow()) {
			// born is set again, by the new clock: otherwise the definitions of processes that
			// start later would not count until the clock has caught up.
			w.born = 0
		}
		w.renewed(reply)
		w.lease.expires = expires
		w.candidate.stands.Store(req.Candidate)
	case wire.Answered(err):
		w.refused(fmt.Errorf("shoal: renewing the lease: %w", err))
	default:
		return fmt.Errorf("shoal: renewing the lease: %w", err)
	}
	w.lease.renewAt = now.Add(w.schedule.jitter.around(w.opts.LeaseDuration / 3))
	if w.born == 0 {
		w.born = w.clock.at(0).UnixMicro()
	}
	w.publish()
	return nil
}

func (w *writer) holdRequest() wire.HoldRequest {
	wanted, predecessor := wire.NoIndex, ""
	switch {
	case w.lease.hadWanted:
	case w.opts.Index != nil:
		wanted = *w.opts.Index
	case w.lease.predecessor != "":
		wanted, predecessor = w.lease.inherited, w.lease.predecessor
	}
	l := &w.lineage
	return wire.HoldRequest{
		Writer: w.id, Index: w.lease.index, Wanted: wanted, Predecessor: predecessor, TTL: w.opts.LeaseDuration,
		Lineage: l.verified, Current: l.seen, Changed: l.changed && l.verified != l.seen, Unverified: l.lost,
		// Others may have shown the shared families since
		// it expired: then this process comes after them.
		Candidate: w.candidate.wish() && !w.lease.expired(),
		Info:      wire.Info{Host: w.opts.Host, Version: w.opts.Version, Started: started.UnixMicro()},
	}
}

// renewed notes that Redis renewed the lease.
func (w *writer) renewed(reply wire.HoldReply) {
	if !w.lease.held || reply.Lost { // with the lease the gauges may be gone
		w.gauges.resendAll()
	}
	if reply.Lost {
		w.doubt()
	}
	if w.lease.index != reply.Index {
		bridge.Leased(bridge.Lease{App: w.opts.App, Index: reply.Index, Writer: w.id})
	}
	w.lease.index, w.lease.held, w.lease.hadWanted, w.lease.refusal = reply.Index, true, true, nil
	w.reg.redisServes("lease")
}

// refused notes that Redis did not renew the lease.
func (w *writer) refused(err error) {
	w.lease.held, w.lease.refusal = false, err
	w.reg.redisFails("lease", err)
}

// readLineage asks Redis for its lineage. After a change every family is verified. A change
// back counts as well: what was acknowledged in the meantime may be missing.
func (w *writer) readLineage() error {
	ctx, cancel := w.callContext()
	defer cancel()
	now, err := w.store.Lineage(ctx)
	if err == nil && w.lineage.see(now) {
		w.lease.renewNow() // readers must know before anything is sent again
		w.gauges.resendAll()
		w.doubtFamilies()
	}
	return err
}

// doubt notes that Redis lacks something that it had, the lease or a family. It may have
// been emptied, so every family is registered again. The lease tells the readers, which
// wait until that is done.
func (w *writer) doubt() {
	w.lineage.lost = true
	w.lease.renewNow()
	w.doubtFamilies()
}

// doubtFamilies makes the writer register every family again before it sends more of
// it.
func (w *writer) doubtFamilies() {
	for _, f := range *w.reg.families.Load() {
		f.out.unverified = f.out.generation != ""
	}
	w.doubts++
}

// confirmLineage notes, if it is so, that Redis has in the lineage seen all that it ever
// acknowledged. The next heartbeat tells the readers. The lineage was read before the
// families were registered: if it changed in between, the readers find another one than
// the one noted, and wait on. It reports whether the lineage is confirmed.
func (w *writer) confirmLineage() bool {
	if w.lineage.confirmed() {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if !f.out.fullyAcked() {
			return false
		}
	}
	w.lineage.confirm()
	w.lease.renewNow()
	return true
}
