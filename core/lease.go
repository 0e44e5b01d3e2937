// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// lease is this process's place among the living ones: the index under which its
// gauges are shown. It is held for Opts.LeaseDuration and renewed three times in it.
type lease struct {
	index     int       // wire.NoIndex before the first
	held      bool      // as far as this process knows
	hadWanted bool      // we held Opts.Index once; if another process takes it, do not take it back
	renewAt   time.Time // when the next heartbeat is due
	refusal   error     // why Redis did not renew it
}

// due says whether the next heartbeat is.
func (l *lease) due(now time.Time) bool { return !now.Before(l.renewAt) }

// renewNow makes the next heartbeat due.
func (l *lease) renewNow() { l.renewAt = time.Time{} }

// lose forgets the lease, so that the next heartbeat asks for one.
func (l *lease) lose() {
	l.held, l.index = false, wire.NoIndex
	l.renewNow()
}

// missing is the error of what needs a lease where there is none.
func (l *lease) missing() error {
	if l.refusal != nil {
		return fmt.Errorf("shoal: the gauges wait for a lease: %w", l.refusal)
	}
	return errors.New("shoal: the gauges wait for a lease")
}

// heartbeat reads the lineage and renews the lease when that is due. A refusal is
// reported and no error: counting goes on without a lease, and only the gauges need
// one.
func (w *writer) heartbeat(now time.Time) error {
	if !w.lease.due(now) {
		return nil
	}
	// If this fails, the next heartbeat reads the lineage. But Redis cuts a connection
	// off that has no password and asks for more, and the end of the connection would
	// hide the reason.
	if err := w.readLineage(); wire.ReplyCode(err) == "NOAUTH" {
		return fmt.Errorf("shoal: renewing the lease: %w", err)
	}
	w.confirmLineage() // at the start there is no family to register
	ctx, cancel := w.callContext()
	defer cancel()
	before := monotonicNow()
	reply, err := w.store.Hold(ctx, w.holdRequest())
	switch {
	case err == nil:
		if w.clock.set(reply.Now, (before+monotonicNow())/2) {
			// This process came up earlier by that too: else the definitions of processes that
			// come up later would have to wait until the clock has caught up.
			w.born = 0
		}
		w.renewed(reply)
	case wire.Answered(err):
		w.refused(fmt.Errorf("shoal: renewing the lease: %w", err))
	default:
		return fmt.Errorf("shoal: renewing the lease: %w", err)
	}
	w.lease.renewAt = now.Add(w.jitter.around(w.opts.LeaseDuration / 3))
	if w.born == 0 {
		w.born = w.clock.at(0).UnixMicro()
	}
	w.publish()
	return nil
}

func (w *writer) holdRequest() wire.HoldRequest {
	wanted := wire.NoIndex
	if w.opts.Index != nil && !w.lease.hadWanted {
		wanted = *w.opts.Index
	}
	l := &w.lineage
	return wire.HoldRequest{
		Writer: w.id, Index: w.lease.index, Wanted: wanted, TTL: w.opts.LeaseDuration,
		Lineage: l.verified, Current: l.seen, Changed: l.changed && l.verified != l.seen, Unverified: l.lost,
		Info: wire.Info{Host: w.opts.Host, Version: w.opts.Version, Started: started.UnixMicro()},
	}
}

// renewed notes that Redis renewed the lease.
func (w *writer) renewed(reply wire.HoldReply) {
	if !w.lease.held {
		w.gauges.resendAll()
	}
	if reply.Lost {
		w.doubt()
	}
	w.lease.index, w.lease.held, w.lease.hadWanted, w.lease.refusal = reply.Index, true, true, nil
	w.reg.redisServes("lease")
}

// refused notes that Redis did not renew the lease.
func (w *writer) refused(err error) {
	w.lease.held, w.lease.refusal = false, err
	w.reg.redisFails("lease", err)
}
