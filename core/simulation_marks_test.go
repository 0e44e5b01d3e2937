// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What the ledger knows of the marks: in which epoch a family is, when series began, by whom
// and when they were held last. It works that out from what the store is asked, and looks at
// the store's series after each such request.

// seriesKey names a series by its one label.
type seriesKey struct{ family, k string }

// seriesLife is a series from when it comes until it is removed. A series that was removed and
// comes again has another life.
type seriesLife struct {
	number int
	start  int64 // as the store tells it, in microseconds; 0 if it does not know
	marked int   // the epoch in which it was held last
	vague  bool  // it came with a batch that does not tell since when the process holds it
	until  int64 // the deadline of a Latest, in microseconds of the store's clock; 0 if it has none
}

// markBooks is what the ledger knows of the marks.
type markBooks struct {
	epochs map[string]epoch
	lives  map[seriesKey]seriesLife
	ended  map[seriesKey]int64        // when the life before this one ended, by the store's clock
	cut    map[string]int64           // when a series of the family was removed last, by that clock
	holds  map[seriesKey]map[int]bool // the processes that told the store that they hold it; never changed
	bare   map[string]bool            // the families whose marks were lost: none is kept before a process registers them
}

type epoch struct {
	number int
	since  int64 // in seconds of the store's clock
	family int64 // when the family was registered, in microseconds
}

func newMarkBooks() markBooks {
	return markBooks{
		epochs: map[string]epoch{}, lives: map[seriesKey]seriesLife{}, ended: map[seriesKey]int64{},
		cut: map[string]int64{}, holds: map[seriesKey]map[int]bool{}, bare: map[string]bool{},
	}
}

func (m *markBooks) clone() markBooks {
	return markBooks{epochs: maps.Clone(m.epochs), lives: maps.Clone(m.lives), ended: maps.Clone(m.ended), cut: maps.Clone(m.cut), holds: maps.Clone(m.holds), bare: maps.Clone(m.bare)}
}

// idleAge is how many epochs old the mark of an idle series is.
const idleAge = 9

// epochLength is how long an epoch of a family lasts at least, in seconds; 0 if none ends.
func (w *world) epochLength(family string) int64 {
	retention := w.retentionOf(family)
	if retention <= 0 {
		return 0
	}
	return max(60, int64(retention/time.Second)/8)
}

// noteEpoch compares the epoch that a registration was answered with the one that it must be.
// A registration begins the next one when the present one is long enough ago, and never more
// than one, however far the clock jumped.
func (l *ledger) noteEpoch(r wire.Registration, reply wire.RegisterReply) {
	if !l.marked(r.Family) {
		return
	}
	delete(l.bare, r.Family)
	now := l.w.serverNow().Unix()
	if l.generation[r.Family] != reply.Generation {
		l.forgetLives(r.Family)
		l.epochs[r.Family] = epoch{0, now, l.w.serverNow().UnixMicro()}
		l.adopt(r.Family, reply.Generation)
	} else {
		e, length := l.epochs[r.Family], l.w.epochLength(r.Family)
		switch {
		case length > 0 && now-e.since >= length:
			e.number, e.since = e.number+1, now
			l.w.faults[faultEpochPassed]++
		case now < e.since:
			e.since = now
		}
		l.epochs[r.Family] = e
	}
	if want := strconv.Itoa(l.epochs[r.Family].number); reply.Epoch != want {
		l.w.violated("a registration was told that %s is in the epoch %s, and it is in %s", r.Family, reply.Epoch, want)
	}
}

// marked says whether the ledger follows the marks of a family.
func (l *ledger) marked(family string) bool {
	_, ours := l.w.plan.retentions[family]
	return ours
}

// storedSeries is what the store has of a series.
type storedSeries struct {
	text  string
	start int64
}

// read reads a family from the store, by the values of its label. The caller holds w.mu.
func (l *ledger) read(family, generation string) map[string]storedSeries {
	store, ctx := l.w.server.Store(l.w.plan.opts.App), context.Background()
	list, _ := store.ScanSeries(ctx, family, math.MaxInt) // no errors here
	q := wire.StartsQuery{Family: family, Generation: generation}
	for _, s := range list {
		q.Fields = append(q.Fields, s.Field)
	}
	starts, _ := store.ReadStarts(ctx, []wire.StartsQuery{q})
	found := make(map[string]storedSeries, len(list))
	for i, s := range list {
		found[labelOf(s.Field)] = storedSeries{s.Text, starts[0][i]}
	}
	return found
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

// marksLost notes that the marks of a family alone are gone: the ages of its series begin anew,
// and when they began is not known any more.
func (l *ledger) marksLost(family string) {
	l.unmarked[family], l.bare[family] = true, true
	for key, s := range l.lives {
		if key.family == family {
			s.start, s.marked = 0, l.epochs[family].number
			l.lives[key] = s
		}
	}
}

// hold notes that a process told the store that it holds a series.
func (l *ledger) hold(key seriesKey, p *proc) {
	s := l.lives[key]
	s.marked = l.epochs[key.family].number
	l.lives[key] = s
	l.toldBy(key, p)
}

// toldBy notes that the store knows that a process has a series, whether it marked it or not.
func (l *ledger) toldBy(key seriesKey, p *proc) {
	if !l.holds[key][p.number] {
		holders := maps.Clone(l.holds[key])
		if holders == nil {
			holders = map[int]bool{}
		}
		holders[p.number] = true
		l.holds[key] = holders
	}
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

// markedBy follows a mark that the store carried out.
func (l *ledger) markedBy(p *proc, m wire.Mark, reply wire.MarkReply) {
	if !l.marked(m.Family) {
		return
	}
	if reply.Unknown {
		lacks := m.Last > 0 && !l.applied[batchKey{p.number, m.Family, m.Last}] // after a step back
		if l.generation[m.Family] == m.Generation && !l.damaged[m.Family] && !lacks {
			l.w.violated("a mark of %v was not taken: %s has the generation %s", p, m.Family, m.Generation)
		}
		return
	}
	gone := map[int]bool{}
	for _, i := range reply.Gone {
		gone[i] = true
	}
	for i, field := range m.Fields {
		key := seriesKey{m.Family, labelOf(field)}
		if _, there := l.lives[key]; there == gone[i] {
			l.w.violated("%v was told that %s %q is gone: %v", p, key.family, key.k, gone[i])
		}
		if !gone[i] {
			l.hold(key, p)
		}
	}
	for k, s := range l.read(m.Family, m.Generation) {
		if one, ok := l.lives[seriesKey{m.Family, k}]; !ok || one.start != s.start {
			l.w.violated("%s %q began at %v, and after a mark of %v at %v", m.Family, k, one.start, p, s.start)
		}
	}
}

// deadlineOf reads when a value of a Latest expires.
func deadlineOf(text string) (until int64) {
	if parts := strings.Fields(text); len(parts) == 3 {
		until, _ = strconv.ParseInt(parts[2], 10, 64)
	}
	return until
}
