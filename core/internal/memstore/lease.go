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
	stamp      int64 // of a candidate; else 0
}

// hold takes or renews a lease, and records the lineage. See [wire.Store].
func (a *app) hold(req wire.HoldRequest, now time.Time) wire.HoldReply {
	index := a.choose(req, now)
	fenced := a.leases[index].writer
	if fenced == req.Writer {
		fenced = ""
	}
	own, taken := a.leases[req.Index]
	lost := req.Index != wire.NoIndex && (!taken || own.writer != req.Writer)
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
	held.stamp = a.stampFor(req, index, now)
	if had := a.leases[index]; had.stamp != held.stamp || had.overlong(now) {
		a.noteLeft(had, now)
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
// still its own; where there are few leases, one of the lowest whose entry is the writer's (the
// reply of an earlier call was lost, or the server stepped back); the one that it held, if that
// has no entry; the one wanted, even if another writer holds it; where there are few, the lowest
// that is free or expired; and what search finds. The one wanted counts only if it yields.
func (a *app) choose(req wire.HoldRequest, now time.Time) (index int) {
	held, taken := a.leases[req.Index]
	if taken && held.writer == req.Writer {
		return req.Index
	}
	size := len(a.leases)
	for _, stored := range []bool{a.lineage != "", !a.housekept.IsZero(), a.searched, a.stamp > 0, !a.left.IsZero()} {
		if stored { // in the same hash as the leases
			size++
		}
	}
	first, own := wire.NoIndex, false
	if size <= fewLeases {
		first, own = a.look(indexes(0, lowest), req.Writer, now)
	}
	switch {
	case own:
		return first
	case req.Index != wire.NoIndex && !taken:
		return req.Index
	case req.Wanted != wire.NoIndex && a.yields(req, now):
		return req.Wanted
	case first == wire.NoIndex:
		return a.search(size, req.Writer, now)
	}
	return first
}

// yields says whether a writer may have the index that it wants.
func (a *app) yields(req wire.HoldRequest, now time.Time) bool {
	holder := a.leases[req.Wanted].writer
	return req.Predecessor == "" || a.free(req.Wanted, now) || holder == req.Predecessor || holder == req.Writer
}

const (
	lowest       = 32 // indexes at which it looks beside few leases
	fewLeases    = 64 // beside so many
	searchWindow = 8  // indexes in each of the two ranges at which a search looks
)

// search returns an index that is free, the writer's, or expired, as hold-1.lua does.
func (a *app) search(size int, writer string, now time.Time) int {
	place := lowest
	if a.searched {
		place = a.next
	}
	if place > size {
		place = 0
	}
	index, _ := a.look(append(indexes(place, searchWindow), indexes(size+place, searchWindow)...), writer, now)
	if index == wire.NoIndex { // the script takes another one, far above as well
		for index = 2 * size; !a.free(index, now); {
			index++
		}
	}
	a.searched, a.next = true, place+searchWindow
	if index < a.next {
		a.next = index + 1
	}
	return index
}

// look returns the first of the indexes whose entry is the writer's, and true; else the first that
// is free or expired.
func (a *app) look(indexes []int, writer string, now time.Time) (index int, own bool) {
	index = wire.NoIndex
	for _, i := range indexes {
		l, taken := a.leases[i]
		if taken && l.writer == writer {
			return i, true
		}
		if index == wire.NoIndex && a.free(i, now) {
			index = i
		}
	}
	return index, false
}

// free says whether an index has no lease, or an expired one.
func (a *app) free(index int, now time.Time) bool {
	l, taken := a.leases[index]
	return !taken || l.expired(now)
}

func indexes(first, n int) (list []int) {
	for i := range n {
		list = append(list, first+i)
	}
	return list
}

// deadline is the end of what lives for ttl, in milliseconds, as Redis's expiry has it.
func deadline(now time.Time, ttl time.Duration) time.Time {
	return now.Truncate(time.Millisecond).Add(ttl.Truncate(time.Millisecond))
}

// overlong says whether a lease was renewed before the clock was set back.
func (l lease) overlong(now time.Time) bool { return l.deadline.After(deadline(now, l.ttl)) }

func (l lease) expired(now time.Time) bool { return !now.Before(l.deadline) }

// listed lists the leases that have not expired, one of each writer, ordered by index; and those of
// candidates that have.
func (a *app) listed(now time.Time) (leases, expired []wire.Lease) {
	for _, i := range slices.Sorted(maps.Keys(a.leases)) {
		l := a.leases[i]
		list := &leases
		if l.expired(now) {
			list = &expired
		}
		if !l.expired(now) || l.stamp > 0 {
			*list = append(*list, wire.Lease{
				Index:      i,
				Writer:     l.writer,
				Deadline:   l.deadline,
				TTL:        l.ttl,
				Lineage:    l.lineage,
				Unverified: l.unverified,
				Info:       l.info,
				Stamp:      l.stamp,
			})
		}
	}
	return wire.OneOfEach(leases, now), expired
}
