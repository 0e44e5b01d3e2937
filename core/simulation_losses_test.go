// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"time"
)

// falls counts what may have made a family's values fall, so that the ledger at two
// moments can be compared: where a count differs, a page need not show what one before
// it showed.
type falls struct {
	any     int // also those that last until the writers have brought back what was lost
	forGood int
	keys    int // a key was lost: pages lack the family until it is registered anew
}

var (
	forAWhile = falls{any: 1}
	forGood   = falls{any: 1, forGood: 1}
)

func (l *ledger) fell(family string, by falls) {
	f := l.falls[family]
	l.falls[family] = falls{f.any + by.any, f.forGood + by.forGood, f.keys + by.keys}
}

// emptied notes a FLUSHALL. The store forgets everything and keeps its lineage, so what
// was acknowledged must not come again.
func (l *ledger) emptied() {
	l.changes++
	l.mayLose = true
	l.emptiedAt = time.Now()
	l.wiped(func(batchKey) bool { return true })
	l.content = newContent()
	clear(l.takenBack)
	for _, family := range summedFamilies {
		l.fell(family, forGood)
	}
}

// wiped notes which batches must not come again. A process that has not looked at the
// store since it last stepped back can't tell a wipe from that, and may send everything
// again.
func (l *ledger) wiped(which func(batchKey) bool) {
	for key := range l.applied {
		if b := l.sent[key]; which(key) && b.had && l.confirmed[key.proc] == l.lineage {
			b.wiped = true
		}
	}
}

// controlLost notes that a family's registration is gone, and with it the numbers of its
// batches. So its writers drop, and count, what is in doubt: they don't know whether the
// store had it.
func (l *ledger) controlLost(family string) {
	l.changes++
	l.mayLose, l.uncertain = true, true
	l.damaged[family] = true
	l.fell(family, falls{forGood: 1, keys: 1})
}

// valuesLost notes that a family's series are gone. What was acknowledged of them must
// not come again.
func (l *ledger) valuesLost(family string) {
	l.changes++
	l.mayLose = true
	l.damaged[family] = true
	of := func(key batchKey) bool { return key.family == family }
	l.wiped(of)
	maps.DeleteFunc(l.applied, func(key batchKey, _ bool) bool { return of(key) })
	delete(l.values, family)
	l.forgetLives(family)
	l.fell(family, falls{any: 1, forGood: 1, keys: 1})
}

// step is a step back of the store.
type step struct {
	at         time.Time
	clockMoves int // up to then
}

// restored notes that the store went back to a saved state, and has another lineage. The
// writers send again what they had been told is stored, unless that is
//
//   - too long ago: they keep it for a time only;
//   - of another generation of the family than the one that came back: a process that did
//     not know the lineage before takes that for a wipe, and after minutes of rest
//     (plan.pauses) the first batches are kept no more;
//   - of a family that fell for good since the state was saved, or that had lost a key.
func (l *ledger) restored(s *savedState) {
	before := l.content
	l.content = s.content.clone()
	l.changes++
	l.stepped = step{time.Now(), l.w.clockMoves}
	if len(l.generation) == 0 {
		l.emptiedAt = time.Now()
	}
	old := time.Since(s.at) > keepFor/2
	l.mayLose = l.mayLose || old
	for key := range l.applied {
		l.uncertain = l.uncertain || !before.applied[key] // it had been lost, and counted, and is back
	}
	for key := range before.applied {
		if l.applied[key] {
			continue
		}
		l.rolled[key] = true
		l.sent[key].had = false
		if l.generation[key.family] != before.generation[key.family] && (l.confirmed[key.proc] != l.lineage || l.w.plan.pauses) {
			l.mayLose = true
		}
	}
	for _, b := range l.sent {
		b.wiped = false
	}
	l.takeBackLives(&before)
	for _, family := range summedFamilies {
		by := forAWhile
		if old || l.falls[family].forGood != s.falls[family].forGood || l.damaged[family] || before.damaged[family] ||
			l.generation[family] == "" || l.generation[family] != before.generation[family] {
			by = forGood
			l.forgetStarts(family)
		}
		l.fell(family, by)
	}
	l.noteTotal()
	l.noteLineage()
}

// notTold stands for the lineage of a store that does not tell it. No process ever
// confirms it.
const notTold = "not told"

func (l *ledger) noteLineage() {
	l.lineage, _ = l.w.server.Store(l.w.plan.opts.App).Lineage(context.Background()) // no errors here
	if l.lineage == "" {
		l.lineage = notTold
	}
}

// owing are the processes that have something of a family to bring back.
func (l *ledger) owing(family string) map[*proc]bool {
	owners := map[*proc]bool{}
	for key := range l.rolled {
		if key.family == family {
			owners[l.w.procs[key.proc-1]] = true
		}
	}
	return owners
}

// mustWait says whether a page must wait until what a family lacks is back: pages are
// still held back, and during the whole scrape the store had the leases of all processes
// that have to bring it. For a process whose lease went with the step back, or ran out, a
// page waits a little (recovery.grace), but not as long as a call may hang.
func (l *ledger) mustWait(start snapshot, family string) bool {
	lease := l.w.plan.opts.LeaseDuration
	if l.w.plan.hidden || l.w.clockMoves != l.stepped.clockMoves || time.Since(l.stepped.at) > 2*lease-time.Second {
		return false
	}
	living := l.living()
	for _, owners := range []map[*proc]bool{start.owing[family], l.owing(family)} {
		for owner := range owners {
			if !living[owner] || !start.living[owner] || owner.leasedAt.After(start.begin) {
				return false
			}
			// A lease that seems to last longer, as the clock was set back, is not believed
			// for longer than it was given: not that of the dead, nor of the frozen.
			if l.w.behind > 0 && (owner.life != alive || time.Since(owner.heldAt) >= lease) {
				return false
			}
		}
	}
	return true
}

// keyWasLost says whether one of the family's keys was missing at some moment of the
// scrape: it may be lost, and registered anew, while the scrape is under way.
func (l *ledger) keyWasLost(start snapshot, family string) bool {
	return start.damaged[family] || l.damaged[family] || start.falls[family].keys != l.falls[family].keys
}
