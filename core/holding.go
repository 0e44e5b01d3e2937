// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"maps"
	"slices"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// holding is what the store has of this process, as far as its writer knows. The
// writer publishes it, so that a page which lacks some of it is not shown.
type holding struct {
	writer      string            // that holds a lease; empty if it does not
	generations map[string]string // of the families that are registered, by name
}

// publish tells readers what changed.
func (w *writer) publish() {
	h := &holding{generations: map[string]string{}}
	if w.lease.held {
		h.writer = w.id
	}
	for _, f := range *w.reg.families.Load() {
		if generation := cmp.Or(f.out.generation, f.out.had); generation != "" && !f.out.damaged {
			h.generations[f.def.name] = generation
		}
	}
	if old := w.holding.Load(); old == nil || old.writer != h.writer || !maps.Equal(old.generations, h.generations) {
		w.holding.Store(h)
	}
}

// lacks says whether something of this process is missing in what was read.
func (h *holding) lacks(head wire.Head) bool {
	if h == nil {
		return false
	}
	if h.writer != "" && !slices.ContainsFunc(head.App.Leases, func(l wire.Lease) bool { return l.Writer == h.writer }) {
		return true
	}
	found := 0
	for i, s := range head.States {
		if s.Generation != "" && h.generations[head.App.Families[i]] == s.Generation { // a damaged registration is not lost
			found++
		}
	}
	return found < len(h.generations)
}
