// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"time"
)

// trimKept bounds the batches that are kept in case Redis steps back: by their age, and over all
// families by their bytes, where the oldest go first. It also counts what was lost.
func (w *writer) trimKept() {
	now, size := time.Now(), 0
	families := *w.reg.families.Load()
	for _, f := range families {
		f.out.expire(now)
		size += f.out.size
	}
	w.countLost(families)
	for size > keepBytes {
		var oldest *outbox
		for _, f := range families {
			if o := &f.out; len(o.kept) > 0 && (oldest == nil || o.kept[0].acked.Before(oldest.kept[0].acked)) {
				oldest = o
			}
		}
		size -= oldest.kept[0].size
		oldest.forget()
	}
}

// showBacklog sets the gauges that show how far behind the writer is.
func (w *writer) showBacklog() {
	batches, oldest, now := 0, time.Duration(0), time.Now()
	for _, f := range *w.reg.families.Load() {
		batches += len(f.out.queue)
		if len(f.out.queue) > 0 {
			oldest = max(oldest, age(f.out.queue[0].frozen, now))
		}
	}
	w.reg.self.pendingBatches.setUnlessZero(float64(batches))
	w.reg.self.pendingAge.setUnlessZero(oldest.Seconds())
}

// countLost counts what the families have lost since the last time, and reports it, once for each
// reason. Batches of shoal's own metrics do not count.
func (w *writer) countLost(families []*family) {
	for _, reason := range lossReasons {
		batches, names := 0, []string(nil)
		for _, f := range families {
			if n := f.out.lost[reason]; n > 0 && !f.def.cadence.own() {
				batches += n
				names = append(names, f.def.name)
			}
		}
		if batches == 0 {
			continue
		}
		w.reg.self.lost.WithLabelValues(reason).Add(float64(batches))
		w.reg.report("lost "+reason, errors.New(lossText(reason, batches, names)))
	}
	for _, f := range families {
		f.out.lost = nil
	}
}
