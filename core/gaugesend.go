// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// gaugesPerCall bounds how long one write of gauges blocks Redis.
const gaugesPerCall = 250

// gaugeSender is what the writer knows of its gauges in Redis. Gauges are
// state: whatever goes wrong, sending all of them again mends it.
type gaugeSender struct {
	version uint64
	full    bool // what Redis has is not known: send all in place of it
	refresh bool // send all, since their time runs out
}

// sendGauges brings this process's gauges to Redis: those that changed, or all.
func (w *writer) sendGauges(ctx context.Context, families []*family) error {
	var own []*family
	for _, f := range families {
		if !f.shared() && f.out.generation != "" {
			own = append(own, f)
		}
	}
	ops, waiters := w.gatherGauges(own)
	err := w.writeGauges(ctx, ops)
	if errors.Is(err, errResend) { // Redis lost them, or we the lease: once more, all
		w.lease.renewAt = time.Time{}
		err = w.heartbeat(time.Now())
		if err == nil {
			for _, f := range w.ownGauges() {
				f.out.unverified = true // lost, perhaps, with the gauges
			}
			ops, late := w.gatherGauges(w.ownGauges())
			waiters = append(waiters, late...)
			err = w.writeGauges(ctx, ops)
		}
	}
	if err != nil {
		w.gauges.full = true
		if errors.Is(err, errCloned) {
			w.becomeAnother(err)
		}
		for _, wt := range waiters {
			f := wt.series.consts.fam
			f.mu.Lock()
			f.waitOn(wt)
			f.mu.Unlock()
		}
		return err
	}
	for _, wt := range waiters {
		wt.finish("", nil)
	}
	return nil
}

// ownGauges lists the registered families of gauges that belong to processes.
func (w *writer) ownGauges() []*family {
	return slices.DeleteFunc(slices.Clone(*w.reg.families.Load()), func(f *family) bool {
		return f.shared() || f.out.generation == ""
	})
}

// gatherGauges takes what is to be sent, and the callers who wait for it.
// Deletions come first: the same series may have been made anew since.
func (w *writer) gatherGauges(families []*family) (ops []wire.GaugeOp, waiters []*waiter) {
	var deletions []wire.GaugeOp
	all := func() bool { return w.gauges.full || w.gauges.refresh }
	if all() {
		families = w.ownGauges()
	}
	for _, f := range families {
		f.mu.Lock()
		waiters = append(waiters, f.waiters...)
		f.waiters = nil
		f.mu.Unlock()
		f.takeDirty(func(s *series) {
			op, ok := w.gaugeOp(s)
			switch {
			case ok && op.Delete:
				deletions = append(deletions, op)
				return
			case ok && s.deleted():
				f.table.replace(s) // written through a handle from before a deletion
			}
			if ok {
				ops = append(ops, op)
			}
		})
	}
	if w.reg.gaugesForgotten.Swap(false) { // after the lists were taken, which deletions thin out
		w.gauges.full = true
	}
	if all() {
		ops = ops[:0]
		for _, f := range w.ownGauges() {
			f.each(func(s *series) {
				if op, ok := w.gaugeOp(s); ok {
					ops = append(ops, op)
				}
			})
		}
	}
	return append(deletions, ops...), waiters
}

// gaugeOp renders what a gauge has to say, if anything.
func (w *writer) gaugeOp(s *series) (wire.GaugeOp, bool) {
	g := s.metric.(*Gauge)
	op := wire.GaugeOp{Field: wire.GaugeField(s.consts.fam.def.name, s.field)}
	switch g.state.Load() {
	case gaugeSet:
		op.Value, op.Expire = formatGauge(g.value()), s.consts.fam.def.expire
		if s.consts.fam.def.self { // the period was chosen for the user's gauges
			op.Expire = max(op.Expire, 2*w.opts.RefreshPeriod)
		}
		return op, true
	case gaugeDropped:
		op.Delete = true
		g.state.CompareAndSwap(gaugeDropped, gaugeUnset)
		return op, true
	}
	return op, false
}

// errResend asks the caller to send all gauges again.
var errResend = errors.New("shoal: all gauges are to be sent again")

// writeGauges sends ops in slices that are short for Redis. After an error
// nothing is known of what it has.
func (w *writer) writeGauges(ctx context.Context, ops []wire.GaugeOp) error {
	g := &w.gauges
	if len(ops) == 0 && !g.full {
		g.refresh = false
		return nil
	}
	if !w.lease.held {
		return w.lease.missing()
	}
	resent, mixed, own := g.full, false, 0
	if g.full || g.refresh { // these are all there are
		for _, op := range ops {
			if !op.Delete {
				own++
			}
		}
	}
	for first := true; first || len(ops) > 0; first = false {
		chunk := ops[:min(len(ops), gaugesPerCall)]
		ops = ops[len(chunk):]
		g.version++
		count := 0
		if len(ops) == 0 {
			count = own
		}
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		status, err := w.store.WriteGauges(callCtx, wire.GaugeWrite{
			Writer: w.id, Index: w.lease.index, Version: g.version, Full: first && g.full, Own: count, Ops: chunk,
		})
		cancel()
		switch {
		case err != nil:
			return fmt.Errorf("shoal: writing gauges: %w", err)
		case status == wire.GaugesAhead:
			return errCloned
		case status == wire.GaugesLostLease:
			w.lease.held = false
			g.full = true
			return errResend
		case status == wire.GaugesWantFull && !resent:
			g.full = true
			return errResend
		case status == wire.GaugesWantFull:
			return errors.New("shoal: writing gauges: Redis lost them while they were sent")
		}
		mixed = mixed || status == wire.GaugesMixed
	}
	// Gauges that somebody put beside ours go with the next write.
	g.full, g.refresh = mixed, false
	return nil
}

// formatGauge renders any float64 the way that the exposition formats do.
func formatGauge(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}
