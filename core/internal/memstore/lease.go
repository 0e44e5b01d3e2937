// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// lease is the entry of one index. It stays when its deadline has passed,
// until somebody takes the index or housekeeping removes it: its owner may
// still come back for it.
type lease struct {
	writer   string
	deadline time.Time
	lineage  string
	info     wire.Info
}

// hold gives the first that applies: the index that the writer held, if it is
// still its own; any index that is the writer's (the reply of an earlier call
// was lost, or the server stepped back); the index that it held, if nobody has
// it; the slot it asks for, from whoever has it; the lowest index that is free
// or expired.
func (a *app) hold(req wire.HoldRequest, now time.Time) wire.HoldReply {
	index, fenced := a.choose(req, now)
	a.leases[index] = lease{
		writer:   req.Writer,
		deadline: deadline(now, req.TTL),
		lineage:  req.Lineage,
		info:     req.Info,
	}
	if another := req.Current != a.lineage; req.Current != "" && (another || req.Changed && a.since.IsZero()) {
		if a.lineage != "" || req.Changed { // else it is the app's first start
			a.since = now.Truncate(time.Millisecond)
		}
		a.lineage = req.Current
	}
	return wire.HoldReply{Index: index, Fenced: fenced, Now: now}
}

func (a *app) choose(req wire.HoldRequest, now time.Time) (index int, fenced string) {
	held, taken := a.leases[req.Index]
	if taken && held.writer == req.Writer {
		return req.Index, ""
	}
	for _, i := range slices.Sorted(maps.Keys(a.leases)) {
		if a.leases[i].writer == req.Writer {
			return i, ""
		}
	}
	if req.Index != wire.NoIndex && !taken {
		return req.Index, ""
	}
	if req.Slot != wire.NoIndex {
		return req.Slot, a.leases[req.Slot].writer
	}
	for i := 0; ; i++ {
		held, ok := a.leases[i]
		if !ok || held.expired(now) {
			return i, held.writer
		}
	}
}

// deadline is when what lives for ttl ends, in the resolution of Redis's own
// expiry.
func deadline(now time.Time, ttl time.Duration) time.Time {
	return now.Truncate(time.Millisecond).Add(ttl.Truncate(time.Millisecond))
}

func (l lease) expired(now time.Time) bool { return !now.Before(l.deadline) }

// living lists the leases that have not expired, ordered by index.
func (a *app) living(now time.Time) []wire.Lease {
	var leases []wire.Lease
	for _, i := range slices.Sorted(maps.Keys(a.leases)) {
		if l := a.leases[i]; !l.expired(now) {
			leases = append(leases, wire.Lease{
				Index:    i,
				Writer:   l.writer,
				Deadline: l.deadline,
				Lineage:  l.lineage,
				Info:     l.info,
			})
		}
	}
	return leases
}
