// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Held is what Redis has of this process, as far as its writer knows. Nothing of it changes
// but the time that Seen returns.
type Held struct {
	Process     string            // the id of its writer
	Writer      string            // the same while it holds a lease, else empty
	Generations map[string]string // of the families that it has registered, by name

	seen atomic.Pointer[time.Time] // when a reading that found all of it began
}

// Seen is when the last reading of a page began that found in Redis all that is held; the zero
// time if none did.
func (h *Held) Seen() time.Time {
	if at := h.seen.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// only returns what is held of these families alone.
func (h *Held) only(families []string) *Held {
	part := &Held{Writer: h.Writer, Generations: map[string]string{}}
	for _, name := range families {
		if generation := h.Generations[name]; generation != "" {
			part.Generations[name] = generation
		}
	}
	return part
}

// MissingIn says whether a head lacks any of what is held. A nil h holds nothing.
func (h *Held) MissingIn(head wire.Head) bool {
	if h == nil {
		return false
	}
	if h.Writer != "" && !slices.ContainsFunc(head.App.Leases, func(l wire.Lease) bool { return l.Writer == h.Writer }) {
		return true
	}
	found := 0
	for i, s := range head.States {
		if s.Generation != "" && h.Generations[head.App.Families[i]] == s.Generation { // a damaged registration is not lost
			found++
		}
	}
	return found < len(h.Generations)
}
