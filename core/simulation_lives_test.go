// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// The lives of series: which batch brings a series, when it began, and which batch deletes it.

// seriesLife is a series from when it comes until it is removed. A series that was removed and
// comes again has another life.
type seriesLife struct {
	number int
	start  int64 // as the store tells it, in microseconds; 0 if it does not know
	marked int   // the epoch in which it was held last
	vague  bool  // it came with a batch that does not tell since when the process holds it
	until  int64 // the deadline of a Latest, in microseconds of the store's clock; 0 if it has none
}

// adopt takes over the series of a family whose registration was lost: nobody knows when they
// began, or were held.
func (l *ledger) adopt(family, generation string) {
	for k, s := range l.read(family, generation) {
		l.unmarked[family] = true
		l.lives[seriesKey{family, k}] = l.newLife(s, l.epochs[family].number)
	}
}

func (l *ledger) newLife(s storedSeries, marked int) seriesLife {
	l.number++
	return seriesLife{number: l.number, start: s.start, marked: marked, until: deadlineOf(s.text)}
}

// forgetLives forgets a family's series, which something took from the store, or whose marks are gone.
func (l *ledger) forgetLives(family string) {
	of := func(key seriesKey) bool { return key.family == family }
	delete(l.cut, family)
	maps.DeleteFunc(l.lives, func(key seriesKey, _ seriesLife) bool { return of(key) })
	maps.DeleteFunc(l.ended, func(key seriesKey, _ int64) bool { return of(key) })
	maps.DeleteFunc(l.holds, func(key seriesKey, _ map[int]bool) bool { return of(key) })
	maps.DeleteFunc(l.takenBack, func(key seriesKey, _ int) bool { return of(key) })
}

// committed follows the marks of a family after a batch was applied.
func (l *ledger) committed(p *proc, c wire.Commit) {
	if !l.marked(c.Family) {
		return
	}
	deleted := l.deletedBy(c)
	stored := l.read(c.Family, c.Generation)
	now := l.w.serverNow().UnixMicro()
	resent := l.rolled[batchKey{p.number, c.Family, c.Seq}]
	removed := l.removalBy(c, now)
	for key := range l.lives {
		if key.family != c.Family {
			continue
		}
		gone := deleted[key.k]
		if _, there := stored[key.k]; !there && !gone {
			l.w.violated("%s %q vanished with a batch of %v that does not delete it", key.family, key.k, p)
		}
		if gone {
			l.endLife(key, removed)
		}
	}
	if !resent {
		maps.DeleteFunc(l.takenBack, func(key seriesKey, _ int) bool {
			return key.family == c.Family && slices.ContainsFunc(c.Ops, func(op wire.Op) bool {
				return op.Kind == wire.OpClear || op.Kind == wire.OpDelete && labelOf(op.Field) == key.k
			})
		})
	}
	ops := map[string]wire.Op{}
	for _, op := range c.Ops {
		if op.Kind == wire.OpAdd || op.Kind == wire.OpLatest {
			k := labelOf(op.Field)
			if _, there := stored[k]; !there {
				k = labelOf(c.Overflow)
			}
			if old, ok := ops[k]; !ok || old.Born == 0 || op.Born > 0 && op.Born < old.Born {
				ops[k] = op
			}
		}
	}
	for k, s := range stored {
		key := seriesKey{c.Family, k}
		op, named := ops[k]
		l.compare(key, s, p, c, op, now)
		if named {
			l.toldBy(key, p)
			if op.Born > 0 {
				l.hold(key, p)
			}
		}
	}
}

// deletedBy tells which series a batch deletes. A deletion that comes late, after a step back,
// spares what began after it was asked for.
func (l *ledger) deletedBy(c wire.Commit) map[string]bool {
	const late, skew = 10e6, 1e6
	deleted, now := map[string]bool{}, l.w.serverNow().UnixMicro()
	for _, op := range c.Ops {
		for key, s := range l.lives {
			if key.family != c.Family || op.Kind != wire.OpClear && (op.Kind != wire.OpDelete || labelOf(op.Field) != key.k) {
				continue
			}
			spared := op.Born > 0 && now-op.Born > late && s.start > op.Born+skew && s.start <= now
			deleted[key.k] = deleted[key.k] || !spared
		}
	}
	return deleted
}

// removalBy is the time that counts as that of the removals by a batch: when they were asked for, if
// the batch tells, and not before any other.
func (l *ledger) removalBy(c wire.Commit, now int64) int64 {
	asked := int64(0)
	for _, op := range c.Ops {
		if op.Kind == wire.OpDelete || op.Kind == wire.OpClear {
			asked = max(asked, op.Born)
		}
	}
	if asked == 0 {
		asked = now
	}
	return min(now, max(asked, l.cut[c.Family]))
}

// endLife notes that a series was removed.
func (l *ledger) endLife(key seriesKey, now int64) {
	if _, ok := l.lives[key]; !ok {
		return
	}
	delete(l.lives, key)
	delete(l.holds, key)
	l.ended[key], l.cut[key.family] = now, now
}

// floor is the earliest time at which a series that comes now, or came since it was removed last,
// can have begun. A clock that was set back may have made the family's last removal an early one.
func (l *ledger) floor(key seriesKey, now int64) int64 {
	return min(l.ended[key], l.cut[key.family], now)
}

// compare checks what the store has of a series after a batch of a process.
func (l *ledger) compare(key seriesKey, s storedSeries, p *proc, c wire.Commit, op wire.Op, now int64) {
	old, known := l.lives[key]
	if !known {
		l.checkComes(key, s, p, c, op, now)
		one := l.newLife(s, l.epochs[key.family].number)
		one.vague = op.Born == 0
		if number, ok := l.takenBack[key]; ok {
			one.number = number
			delete(l.takenBack, key)
		}
		l.lives[key] = one
		return
	}
	switch {
	case s.start > old.start:
		l.w.violated("%s %q began at %v, and after a batch of %v at %v, which is later", key.family, key.k, old.start, p, s.start)
	case s.start < old.start && s.start < l.floor(key, now) && !c.Again: // what was sent before had begun before
		l.w.violated("%s %q was removed at %v, and after a batch of %v it began at %v", key.family, key.k, l.ended[key], p, s.start)
	}
	old.start, old.until = s.start, deadlineOf(s.text)
	l.lives[key] = old
}

// checkComes checks the start of a series that a batch brought.
func (l *ledger) checkComes(key seriesKey, s storedSeries, p *proc, c wire.Commit, op wire.Op, now int64) {
	switch {
	case l.bare[key.family]:
	case s.start == 0 || s.start > now:
		l.w.violated("%s %q came at %v and is said to have begun at %v", key.family, key.k, now, s.start)
	case op.Born > 0 && s.start > max(min(op.Born, now), l.cut[key.family]):
		l.w.violated("%s %q came with a start at %v, and %v holds it since %v", key.family, key.k, s.start, p, op.Born)
	case op.Born > 0 && s.start < min(op.Born, now):
		l.w.violated("%s %q came with a start at %v, and %v holds it only since %v", key.family, key.k, s.start, p, op.Born)
	case s.start < l.floor(key, now) && !c.Again:
		l.w.violated("%s %q was removed at %v, and came again with a start at %v", key.family, key.k, l.ended[key], s.start)
	case op.Born == 0 && s.start < min(l.epochs[key.family].family, now):
		l.w.violated("%s %q came with a start at %v, before the family was registered at %v", key.family, key.k, s.start, l.epochs[key.family].family)
	}
	if op.Kind == wire.OpAdd && op.Born == 0 && p.knowsGone(key) && parseAmounts(op.Value) == (amounts{}) {
		l.w.violated("%v brought back %s %q with 0, and had been told that it was deleted", p, key.family, key.k)
	}
}

// deadlineOf reads when a value of a Latest expires.
func deadlineOf(text string) (until int64) {
	if parts := strings.Fields(text); len(parts) == 3 {
		until, _ = strconv.ParseInt(parts[2], 10, 64)
	}
	return until
}
