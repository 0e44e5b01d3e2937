// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"time"

	"github.com/shoal-metrics/shoal/core/internal/page"
)

// publish tells the pages of this process what Redis has of it. A page that lacks some of
// that is not shown.
func (w *writer) publish() {
	h := &page.Held{Process: w.id}
	if w.lease.held {
		h.Writer = w.id
	}
	if old := w.held.Load(); old != nil && old.Process == h.Process && old.Writer == h.Writer && !w.backlog.republish {
		return
	}
	w.backlog.republish = false
	h.Generations = map[string]string{}
	for _, f := range *w.reg.families.Load() {
		if generation := f.shownGeneration(); generation != "" {
			h.Generations[f.def.name] = generation
		}
	}
	w.held.Store(h)
}

// ownGauges names the declared gauges that processes do not share.
func (r *Registry) ownGauges() (names []string) {
	for _, f := range *r.families.Load() {
		if !f.shared() {
			names = append(names, f.def.name)
		}
	}
	return names
}

// lastSeen is when Redis was last known to have the family's generation, by monotonicNow: when
// it acknowledged a batch or a registration, or when a reading of a page found it.
func (w *writer) lastSeen(f *family) int64 {
	seen := f.out.seen
	if h := w.held.Load(); h != nil && h.Generations[f.def.name] == f.out.generation {
		seen = max(seen, int64(h.Seen().Sub(started)))
	}
	return seen
}

// catchUp makes the writer do now what a page waits for: renew its lease, and ask
// whether Redis still has all of its families.
func (w *writer) catchUp(renew, verify bool) {
	if renew {
		w.renewal.Store(true)
	}
	if verify {
		w.lacking.Store(true)
	}
	w.wakeUp()
}

// leaseGrace is the time within which a living writer that lost its lease renews it:
// one heartbeat and the longest back-off.
func leaseGrace(lease time.Duration) time.Duration { return lease/3 + lease/30 + maxBackoff }
