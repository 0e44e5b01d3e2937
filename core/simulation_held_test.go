// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What a process holds, what it is told is gone, and what pages say of when series began.

// toldGone is when a process was told last that a series which it holds is gone.
type toldGone struct {
	at      time.Time
	dropped bool // it had nothing to send of it, so the child must have left its table
}

// hears notes what a process is told by the answer to a mark. The caller holds w.mu.
func (p *proc) hears(m wire.Mark, reply wire.MarkReply) {
	if reply.Err != nil {
		return
	}
	for _, i := range reply.Gone {
		p.w.faults[faultToldGone]++
		key := seriesKey{m.Family, labelOf(m.Fields[i])}
		p.told[key] = toldGone{time.Now(), p.holdsClean(key)}
		p.w.mark("%v hears that %v %q is gone", p, key.family, key.k)
	}
}

// notesNamed notes which series a new batch has.
func (p *proc) notesNamed(c wire.Commit) {
	for _, op := range c.Ops {
		key := seriesKey{c.Family, labelOf(op.Field)}
		if _, named := p.named[key]; !named && op.Kind == wire.OpAdd && op.Born == 0 {
			p.w.violated("%v sends %s %q for the first time, and not since when it holds it", p, key.family, key.k)
		}
		if op.Kind == wire.OpAdd || op.Kind == wire.OpLatest {
			p.named[key] = time.Now()
		}
	}
}

// knowsGone says whether a process was told that a series is gone, and had nothing new of it since.
func (p *proc) knowsGone(key seriesKey) bool {
	t, ok := p.told[key]
	return ok && t.dropped && t.at.After(p.named[key])
}

// mayOmit says whether a batch that a process sends again has the same ops as before, but for
// what it added to series of which it was told since that they are gone.
func (p *proc) mayOmit(b *sentBatch, c wire.Commit) bool {
	rest := c.Ops
	for _, op := range b.ops {
		if len(rest) > 0 && op == rest[0] {
			rest = rest[1:]
			continue
		}
		t := p.told[seriesKey{c.Family, labelOf(op.Field)}]
		if op.Kind != wire.OpAdd && op.Kind != wire.OpLatest || !t.at.After(b.first) {
			return false
		}
	}
	if len(rest) > 0 {
		return false
	}
	b.ops = slices.Clone(c.Ops)
	return true
}

// remembered are the ops of a batch without those that the process forgot, since it was told that their
// series are gone.
func (p *proc) remembered(family string, b *sentBatch) []wire.Op {
	return slices.DeleteFunc(slices.Clone(b.ops), func(op wire.Op) bool {
		return p.forgets(family, b, op)
	})
}

// forgets says whether the process forgets what a batch did to a series, since it was told after that
// batch that the series is gone.
func (p *proc) forgets(family string, b *sentBatch, op wire.Op) bool {
	if op.Kind != wire.OpLatest && (op.Kind != wire.OpAdd || b.whole) {
		return false
	}
	t := p.told[seriesKey{family, labelOf(op.Field)}]
	return t.dropped && t.at.After(b.first)
}

// checkForgotten wants a batch that is sent again to bring back no series of which the process
// was told, after the batch was acknowledged, that it is gone.
func (p *proc) checkForgotten(b *sentBatch, c wire.Commit) {
	for _, op := range c.Ops {
		if p.forgets(c.Family, b, op) {
			p.w.violated("%v sends batch %d of %s again with %q, which was removed since", p, c.Seq, c.Family, labelOf(op.Field))
		}
	}
}

// checkHeld checks, when all processes had time to recover, that those which live hold what the
// store has, and that the rest goes.
func (w *world) checkHeld() {
	// By then each process has marked its series after the last deletion.
	w.pass(markPause + 2*w.plan.opts.RefreshPeriod)
	w.locked(func() {
		for _, p := range w.procs {
			if !p.readOnly && p.life == alive {
				w.checkHolds(p)
			}
		}
	})
	if w.rng.percent(50) || !w.well() {
		return
	}
	w.pass((idleAge+1)*(75*time.Second) + 2*w.plan.opts.RefreshPeriod)
	for range 2 { // the first may come after a long time without any
		w.locked(func() { w.housekeepNow(w.plan.opts.RefreshPeriod) })
		w.pass(2*w.plan.opts.RefreshPeriod + time.Second)
	}
	w.locked(w.checkNothingIdle)
}

// checkHolds wants the children of a process to be in the store, with marks of late.
func (w *world) checkHolds(p *proc) {
	l := &w.ledger
	for family := range w.plan.retentions {
		if l.damaged[family] || family == crowdFamily || family == stateFamily {
			continue
		}
		for _, k := range p.children(family) {
			key := seriesKey{family, k}
			s, there := l.lives[key]
			if !there {
				w.violated("%v holds %s %q, which the store has not", p, family, k)
			} else if age := l.epochs[family].number - s.marked; age > 2 {
				w.violated("%v holds %s %q, and it was marked %d epochs ago", p, family, k, age)
			}
		}
	}
}

// checkNothingIdle wants no series in the store that nobody held for its retention.
func (w *world) checkNothingIdle() {
	l := &w.ledger
	for key, s := range l.lives {
		age := l.epochs[key.family].number - s.marked
		if w.retentionOf(key.family) > 0 && age > idleAge && !l.unmarked[key.family] {
			w.violated("%s %q was held %d epochs ago, and is still there", key.family, key.k, age)
		}
		held := slices.ContainsFunc(w.procs, func(p *proc) bool { return !p.readOnly && p.life == alive && p.holds(key) })
		retention := w.retentionOf(key.family)
		if age == 0 && !held && retention > 0 && retention <= shortRetention && len(w.living()) > 0 {
			w.violated("%s %q is marked in the present epoch, and nobody holds it", key.family, key.k)
		}
	}
}

// living are the processes that count, and still can.
func (w *world) living() (list []*proc) {
	for _, p := range w.procs {
		if !p.readOnly && p.life == alive {
			list = append(list, p)
		}
	}
	return list
}

// takeBackLives notes which lives a step back took. If their processes live, they come back.
func (l *ledger) takeBackLives(before *content) {
	for key, s := range before.lives {
		if now, there := l.lives[key]; !there || now.number != s.number {
			l.takenBack[key] = s.number
		}
	}
	for key := range l.takenBack {
		if _, there := l.lives[key]; there {
			delete(l.takenBack, key)
		}
	}
}

// forgetStarts notes that series of a family may begin anew, since not all that a step back took
// comes back.
func (l *ledger) forgetStarts(family string) {
	maps.DeleteFunc(l.takenBack, func(key seriesKey, _ int) bool { return key.family == family })
	maps.DeleteFunc(l.shown, func(key seriesKey, _ shownStart) bool { return key.family == family })
}

// shownStart is when a series began, as pages say.
type shownStart struct {
	life  int // its number
	start int64
	vague bool // if the store steps back, another process may bring the series with a later start
}

// checkStarts wants a page to tell one start of each life of a series. It may only move back.
// The caller holds w.mu.
func (w *world) checkStarts(p *proc, start snapshot, s shown) {
	l := &w.ledger
	if start.changes != l.changes {
		return
	}
	for family, page := range s.values {
		for k := range page {
			key := seriesKey{family, k}
			one, there := l.lives[key]
			if was := start.lives[key]; !there || was.number != one.number {
				continue // it came while the page was made
			}
			if one.start > w.serverNow().UnixMicro() && w.clockMoves == 0 {
				w.violated("%v shows %s %q, which is said to begin later, at %v", p, family, k, one.start)
			}
			// After the marks were lost, pages still tell what they read before.
			if told, ok := s.starts[key]; ok && !l.unmarked[family] && (told < one.start || told > start.lives[key].start) {
				w.violated("%v shows %s %q with a start at %v, and it began at %v", p, family, k, told, one.start)
			}
			last, known := l.shown[key]
			if known && last.life == one.number && last.start != 0 && one.start > last.start && (l.stepped.at.IsZero() || !last.vague && l.allBack(family, start)) {
				w.violated("%v shows %s %q, which began at %v and at %v before: that is earlier", p, family, k, one.start, last.start)
			}
			l.shown[key] = shownStart{one.number, one.start, one.vague}
		}
	}
}

// allBack says whether everything of a family is back that steps back took, with the moments since
// when the processes hold its series as the store's clock had it then.
func (l *ledger) allBack(family string, start snapshot) bool {
	if l.cut[family] >= l.stepped.at.UnixMicro() {
		return false // no start is told that is before the family's last removal
	}
	return l.w.clockMoves == 0 && len(start.owing[family]) == 0 && len(l.owing(family)) == 0
}

func (k seriesKey) String() string { return fmt.Sprintf("%s %q", k.family, k.k) }
