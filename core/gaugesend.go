// SPDX-License-Identifier: Apache-2.0

package shoal

import (
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
	version uint64 // of the last write
	full    bool   // what Redis has is not known: send all in place of it
	refresh bool   // send all before they expire
}

// resendAll makes the next write replace what Redis has of this process.
func (g *gaugeSender) resendAll() { g.full = true }

// all says whether the next write sends all gauges and not only those that changed.
func (g *gaugeSender) all() bool { return g.full || g.refresh }

// sendGauges brings this process's gauges to Redis: those that changed, or all. It
// reports whether all are to be sent once more.
func (r *flushRun) sendGauges() (again bool) {
	w := r.w
	var registered []*family
	for _, f := range r.families {
		if !f.shared() && f.out.generation != "" {
			registered = append(registered, f.family)
		}
	}
	ops, waiters := w.gatherGauges(registered)
	err := w.writeGauges(ops)
	if err == nil {
		for _, wt := range waiters {
			wt.finish("", nil)
		}
		return false
	}
	w.gauges.resendAll()
	for _, wt := range waiters {
		f := wt.series.consts.fam
		f.mu.Lock()
		f.waitOn(wt)
		f.mu.Unlock()
	}
	switch {
	case errors.Is(err, errGaugesLost) && !r.gaugesLost:
		r.gaugesLost = true // once a run
		w.lease.renewNow()
		w.doubtGauges()
		return true
	case errors.Is(err, errCloned):
		r.another = err
	}
	r.gaugesErr = err
	return false
}

// ownGauges lists the registered families of gauges that belong to processes.
func (w *writer) ownGauges() []*family {
	return slices.DeleteFunc(slices.Clone(*w.reg.families.Load()), func(f *family) bool {
		return f.shared() || f.out.generation == ""
	})
}

// doubtGauges makes the writer register its families of gauges again: whatever lost
// one thing of this process may have lost them too.
func (w *writer) doubtGauges() {
	for _, f := range w.ownGauges() {
		f.out.unverified = true
	}
	w.doubts++
}

// gatherGauges takes what is to be sent, and the callers who wait for it.
// Deletions come first: the same series may have been made anew since.
func (w *writer) gatherGauges(families []*family) (ops []wire.GaugeOp, waiters []*waiter) {
	var deletions []wire.GaugeOp
	if w.gauges.all() {
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
	if w.reg.gaugesForgotten.Swap(false) { // after the lists were taken: see forget
		w.gauges.resendAll()
	}
	if w.gauges.all() {
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

// gaugeOp renders what a gauge has to send, if anything.
func (w *writer) gaugeOp(s *series) (wire.GaugeOp, bool) {
	g := s.metric.(*Gauge)
	op := wire.GaugeOp{Field: wire.GaugeField(s.consts.fam.def.name, s.field)}
	switch g.state.Load() {
	case gaugeSet:
		op.Value, op.Expire = formatGauge(g.value()), s.consts.fam.def.expire
		if s.consts.fam.def.expiresLate() {
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

// errGaugesLost asks for all gauges to be sent again.
var errGaugesLost = errors.New("shoal: writing gauges: Redis lost them, or the lease, while they were sent")

// writeGauges sends ops, at most gaugesPerCall in a call. The first call goes alone: its answer
// tells whether Redis would take the others, which follow in pipelines. After an error the writer
// does not know what Redis has.
func (w *writer) writeGauges(ops []wire.GaugeOp) error {
	g := &w.gauges
	if len(ops) == 0 && !g.full {
		g.refresh = false
		return nil
	}
	if !w.lease.held {
		return w.lease.missing()
	}
	own := 0 // how many gauges this process has, if ops are all of them
	for _, op := range ops {
		if g.all() && !op.Delete {
			own++
		}
	}
	mixed := false
	for first := true; first || len(ops) > 0; first = false {
		var writes []wire.GaugeWrite
		bytes := 0
		for len(writes) == 0 || !first && len(ops) > 0 && bytes < w.pace.Bytes() {
			g.version++
			write := wire.GaugeWrite{
				Writer: w.id, Index: w.lease.index, Version: g.version, Full: first && g.full,
				Ops: ops[:min(len(ops), gaugesPerCall)],
			}
			ops = ops[len(write.Ops):]
			if len(ops) == 0 {
				write.Own = own
			}
			writes = append(writes, write)
			bytes += gaugeBytes(write.Ops)
		}
		others, err := w.writeSome(writes, bytes)
		if err != nil {
			return err
		}
		mixed = mixed || others
	}
	// If Redis has gauges that are not ours, the next write replaces all.
	g.full, g.refresh = mixed, false
	return nil
}

// gaugeBytes is about how many bytes a write of these ops has.
func gaugeBytes(ops []wire.GaugeOp) int {
	const words = 40 // of each op, beside its field and its value
	bytes := headBytes
	for _, op := range ops {
		bytes += len(op.Field) + len(op.Value) + words
	}
	return bytes
}

// writeSome sends one pipeline of gauges. It reports whether Redis has gauges that are not this
// process's.
func (w *writer) writeSome(writes []wire.GaugeWrite, bytes int) (mixed bool, err error) {
	ctx, cancel := w.callContext()
	defer cancel()
	begun := time.Now()
	replies := w.store.WriteGauges(ctx, writes)
	w.sent(bytes, begun, replies[len(replies)-1].Err)
	for _, reply := range replies {
		switch {
		case reply.Err != nil:
			return false, fmt.Errorf("shoal: writing gauges: %w", reply.Err)
		case reply.Status == wire.GaugesAhead:
			return false, errCloned
		case reply.Status == wire.GaugesLostLease:
			w.lease.held = false
			return false, errGaugesLost
		case reply.Status == wire.GaugesWantFull:
			return false, errGaugesLost
		}
		mixed = mixed || reply.Status == wire.GaugesMixed
	}
	return mixed, nil
}

// formatGauge renders any float64 the way that the exposition formats do.
func formatGauge(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}
