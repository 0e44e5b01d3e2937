// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// lease is the entry of one index. After its deadline it stays until a writer takes the index
// or housekeeping removes it: its own writer may still renew it.
type lease struct {
	writer   string
	deadline time.Time
	ttl      time.Duration
	lineage  string
	// unverified takes the place of the lineage until the writer has verified all its
	// families.
	unverified bool
	info       wire.Info
}

// hold takes or renews a lease, and records the lineage. See [wire.Store].
func (a *app) hold(req wire.HoldRequest, now time.Time) wire.HoldReply {
	index, fenced, found := a.choose(req, now)
	lost := req.Index != wire.NoIndex && !found
	held := lease{
		writer:     req.Writer,
		deadline:   deadline(now, req.TTL),
		ttl:        req.TTL.Truncate(time.Millisecond),
		lineage:    req.Lineage,
		unverified: req.Unverified || lost,
		info:       req.Info,
	}
	if held.unverified {
		held.lineage = ""
	}
	a.leases[index] = held
	if another := req.Current != a.lineage; req.Current != "" && (another || req.Changed && a.since.IsZero()) {
		if a.lineage != "" || req.Changed { // else this is the app's first start
			a.since = now.Truncate(time.Millisecond)
		}
		a.lineage = req.Current
	} else if req.Current != "" && now.Truncate(time.Millisecond).Before(a.since) {
		a.since = time.UnixMilli(1) // long ago, in place of a time in the future
	}
	return wire.HoldReply{Index: index, Fenced: fenced, Lost: lost, Now: now}
}

// choose returns the first index that applies: the one that the writer held, if the entry is
// still its own; the lowest whose entry is the writer's (the reply of an earlier call was
// lost, or the server stepped back); the one that it held, if that has no entry; the one
// wanted, even if another writer holds it; the lowest that is free or expired. found says whether an entry
// was the writer's.
func (a *app) choose(req wire.HoldRequest, now time.Time) (index int, fenced string, found bool) {
	held, taken := a.leases[req.Index]
	if taken && held.writer == req.Writer {
		return req.Index, "", true
	}
	for _, i := range slices.Sorted(maps.Keys(a.leases)) {
		if a.leases[i].writer == req.Writer {
			return i, "", true
		}
	}
	if req.Index != wire.NoIndex && !taken {
		return req.Index, "", false
	}
	if req.Wanted != wire.NoIndex {
		return req.Wanted, a.leases[req.Wanted].writer, false
	}
	for i := 0; ; i++ {
		held, ok := a.leases[i]
		if !ok || held.expired(now) {
			return i, held.writer, false
		}
	}
}

// deadline is the end of what lives for ttl, in milliseconds, as Redis's expiry has it.
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
				Index:      i,
				Writer:     l.writer,
				Deadline:   l.deadline,
				TTL:        l.ttl,
				Lineage:    l.lineage,
				Unverified: l.unverified,
				Info:       l.info,
			})
		}
	}
	return leases
}
