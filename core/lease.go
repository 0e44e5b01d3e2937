// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// lease is this process's place among the living: the index under which its
// gauges are shown, held for a while and renewed three times in it.
type lease struct {
	index     int  // wire.NoIndex before the first
	held      bool // as far as we know
	hadWanted bool // we held Opts.Index once; if another process takes it, do not take it back
	renewAt   time.Time
	refusal   error // why Redis did not renew it
}

// missing is the error of what needs a lease where there is none.
func (l *lease) missing() error {
	if l.refusal != nil {
		return fmt.Errorf("shoal: the gauges wait for a lease: %w", l.refusal)
	}
	return errors.New("shoal: the gauges wait for a lease")
}

// lose forgets the lease, so that the next heartbeat asks for one.
func (l *lease) lose() {
	l.held, l.index, l.renewAt = false, wire.NoIndex, time.Time{}
}

// storeClock tells the store's time, from its answer to the last heartbeat.
type storeClock struct {
	store time.Time
	local int64 // monotonicNow at about the same moment
}

// storeTime is the store's time at a moment given by monotonicNow. Until the
// store was heard of, the local clock has to do.
func (w *writer) storeTime(at int64) time.Time {
	if w.clock.store.IsZero() {
		return started.Add(time.Duration(at))
	}
	return w.clock.store.Add(time.Duration(at - w.clock.local))
}

// clockStep is by how much the store's clock must be behind what was expected to
// count as set back.
const clockStep = time.Second

// heard notes the store's time at a moment given by monotonicNow. If its clock was
// set back, this process came up earlier by it too: else definitions of processes
// that came up later would have to wait until the clock has caught up.
func (w *writer) heard(store time.Time, at int64) {
	if store.Before(w.storeTime(at).Add(-clockStep)) {
		w.born = 0
	}
	w.clock = storeClock{store: store, local: at}
}

// heartbeat renews the lease when that is due. A refusal is reported and no
// error: counting goes on without a lease, and only the gauges need one.
func (w *writer) heartbeat(now time.Time) error {
	if now.Before(w.lease.renewAt) {
		return nil
	}
	wanted := wire.NoIndex
	if w.opts.Index != nil && !w.lease.hadWanted {
		wanted = *w.opts.Index
	}
	// If this fails, the next heartbeat asks again. But whom Redis does not know it
	// cuts off for saying more, and the connection's end would hide the reason.
	if err := w.observe(w.ctx); wire.ReplyCode(err) == "NOAUTH" {
		return fmt.Errorf("shoal: renewing the lease: %w", err)
	}
	w.confirm() // nothing may need to be looked at, as at the start
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	before := monotonicNow()
	reply, err := w.store.Hold(ctx, wire.HoldRequest{
		Writer: w.id, Index: w.lease.index, Wanted: wanted, TTL: w.opts.LeaseDuration,
		Lineage: w.lineage.verified, Current: w.lineage.seen, Changed: w.lineage.changed && w.lineage.verified != w.lineage.seen,
		Unverified: w.lineage.lost,
		Info:       wire.Info{Host: w.opts.Host, Version: w.opts.Version, Started: started.UnixMicro()},
	})
	if err != nil {
		err = fmt.Errorf("shoal: renewing the lease: %w", err)
		if !wire.Answered(err) {
			return err
		}
		w.lease.held, w.lease.refusal = false, err
		w.reg.redisFails("lease", err)
	} else {
		w.lease.refusal = nil
		w.reg.redisServes("lease")
		w.heard(reply.Now, (before+monotonicNow())/2)
		if !w.lease.held {
			w.gauges.full = true
		}
		if reply.Lost {
			w.doubt()
		}
		w.lease.index, w.lease.held, w.lease.hadWanted = reply.Index, true, true
	}
	w.lease.renewAt = now.Add(w.jitter.around(w.opts.LeaseDuration / 3))
	if w.born == 0 {
		w.born = w.storeTime(0).UnixMicro()
	}
	w.publish()
	return nil
}

// refresh makes the next pass send every gauge again and ask for each family
// whether Redis still has what it had.
func (w *writer) refresh(now time.Time) {
	pause := w.jitter.early(w.opts.RefreshPeriod) // not later: an Expire may be just above the period
	if w.refreshAt.IsZero() {
		pause = w.jitter.below(w.opts.RefreshPeriod) // a fleet starts at once
	}
	w.refreshAt = now.Add(pause)
	w.gauges.refresh = true
	for _, f := range *w.reg.families.Load() {
		f.out.unverified = true
	}
}

// housekeep removes what nobody needs any more, for the whole fleet, unless
// another process did lately. A failure is reported, and mended by the next of
// any process.
func (w *writer) housekeep(now time.Time) {
	w.housekeepAt = now.Add(housekeepTime + w.jitter.around(housekeepTime))
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	if err := w.store.Housekeep(ctx, max(0, w.opts.Retention), housekeepTime); err != nil {
		w.reg.reportRedis("housekeeping", fmt.Errorf("shoal: housekeeping: %w", err))
	}
}
