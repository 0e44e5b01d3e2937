// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
)

// action is something that the driver can do. Nil allows it to every seed.
type action struct {
	name    string
	weight  int
	allowed func(*plan) bool
	do      func(w *world, d *rng)
}

var actions = []action{
	{"count", 40, nil, (*world).count},
	{"add synchronously", 8, nil, (*world).addSync},
	{"scrape", 15, nil, (*world).scrape},
	{"flush", 2, nil, (*world).flush},
	{"change the fault rate", 8, nil, (*world).changeFaultRate},
	{"new label value", 2, nil, (*world).addLabel},
	{"rest a while", 2, nil, func(w *world, d *rng) { w.pass(d.between(time.Second, w.plan.opts.RefreshPeriod)) }},
	{"rest long", 10, func(p *plan) bool { return p.pauses }, func(w *world, d *rng) { w.pass(d.between(time.Minute, keepFor*3/2)) }},
	{"outage", 2, func(p *plan) bool { return p.outages }, (*world).outage},
	{"partition", 3, func(p *plan) bool { return p.outages }, (*world).partition},
	{"failover", 4, func(p *plan) bool { return p.rollback }, (*world).failover},
	{"failover in the middle of a scrape", 3, func(p *plan) bool { return p.rollback }, (*world).failoverMidway},
	{"another state in the middle of a scrape", 3, func(p *plan) bool { return p.rollback && !p.hidden }, (*world).anotherStateMidway},
	{"restart from an older state", 2, func(p *plan) bool { return p.rollback }, (*world).older},
	{"FLUSHALL", 3, func(p *plan) bool { return p.wipes }, (*world).emptied},
	{"restart without data", 2, func(p *plan) bool { return p.restarts }, (*world).restart},
	{"lose a key", 4, func(p *plan) bool { return p.keyLoss }, (*world).loseKey},
	{"move the clock", 4, func(p *plan) bool { return p.clock }, (*world).moveClock},
	{"freeze", 3, func(p *plan) bool { return p.freezing }, (*world).freeze},
	{"kill", 2, func(p *plan) bool { return p.mortal }, (*world).kill},
	{"close", 3, func(p *plan) bool { return p.mortal }, (*world).closeOne},
	{"start", 3, func(p *plan) bool { return p.mortal }, (*world).startOne},
	{"job", 3, func(p *plan) bool { return p.mortal }, (*world).job},
	{"replace", 2, func(p *plan) bool { return p.mortal }, (*world).replace},
	{"delete", 5, func(p *plan) bool { return p.deletes }, (*world).delete},
}

const mostProcesses = 5

// writers are the processes that can do something.
func (w *world) writers() []*proc {
	var list []*proc
	for _, p := range w.procs {
		if p.running() && !p.readOnly {
			list = append(list, p)
		}
	}
	return list
}

// withWriter does something with one of them, if there is any.
func (w *world) withWriter(d *rng, do func(p *proc)) {
	if list := w.writers(); len(list) > 0 {
		do(pick(d, list))
	}
}

func (w *world) happened(f fault) { w.locked(func() { w.faults[f]++ }) }

func (w *world) count(d *rng) {
	for range 1 + d.below(3) {
		w.withWriter(d, func(p *proc) { p.count(d) })
	}
}

func (w *world) addSync(d *rng) {
	w.withWriter(d, func(p *proc) {
		for range 1 + d.below(3) {
			p.addSync(pick(d, labelValues[:w.labels]), float64(1+d.below(5)), d.between(100*time.Millisecond, 10*time.Second))
		}
	})
}

func (w *world) scrape(d *rng) {
	for range 1 + d.below(2) {
		p := w.watcher
		if d.percent(60) {
			w.withWriter(d, func(other *proc) { p = other })
		}
		p.scrape(d.percent(20))
	}
}

func (w *world) flush(d *rng) {
	patience := d.between(100*time.Millisecond, 5*time.Second)
	w.withWriter(d, func(p *proc) {
		w.callers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_ = p.reg.Flush(ctx) // may fail: what it left is delivered later
		})
	})
}

func (w *world) changeFaultRate(d *rng) {
	w.locked(func() {
		w.faultRate = 0
		if w.plan.faultRate > 0 && d.percent(70) {
			w.faultRate = d.below(w.plan.faultRate + 1)
		}
	})
}

func (w *world) addLabel(*rng) {
	if w.labels < len(labelValues) {
		w.labels++
		w.happened(faultSeriesAdded)
	}
}

// goDown makes the store unreachable and does something when it is back.
func (w *world) goDown(d time.Duration, then func()) {
	w.locked(func() { w.down = true })
	w.later(d, func() {
		w.locked(func() {
			w.down = false
			w.mark("the store is back")
			then()
		})
	})
}

func (w *world) outage(d *rng) {
	if w.down {
		return
	}
	w.happened(faultOutage)
	w.goDown(d.between(100*time.Millisecond, 20*time.Second), func() {})
}

func (w *world) partition(d *rng) {
	w.withWriter(d, func(p *proc) {
		if p.link.partitioned {
			return
		}
		w.happened(faultPartition)
		w.locked(func() { p.link.partitioned = true })
		w.later(d.between(100*time.Millisecond, 2*w.plan.opts.LeaseDuration), func() {
			w.locked(func() { p.link.partitioned = false })
		})
	})
}

// save copies what the store has, as a replica or a file would.
func (w *world) save() {
	w.locked(func() {
		w.saved = append(w.saved, &savedState{time.Now(), w.server.Snapshot(), w.ledger.clone(), maps.Clone(w.ledger.falls)})
	})
	if len(w.saved) > 8 {
		w.saved = w.saved[1:]
	}
}

// failover lets a replica take over that has what the master had a moment ago.
func (w *world) failover(d *rng) {
	if w.down {
		return
	}
	w.happened(faultFailover)
	lagging := w.saved[len(w.saved)-1]
	if d.percent(30) {
		w.save()
		lagging = w.saved[len(w.saved)-1]
	}
	w.pass(d.between(time.Millisecond, time.Second)) // the lag
	if w.down {
		return
	}
	w.goDown(d.between(time.Millisecond, 4*time.Second), func() { w.restore(lagging) })
}

// failoverMidway lets the replica take over while a page is read, so fast that no call
// fails.
func (w *world) failoverMidway(d *rng) {
	w.save()
	lagging := w.saved[len(w.saved)-1]
	for range 3 {
		w.count(d)
	}
	w.pass(2 * w.plan.opts.Interval) // flushed
	w.watcher.scrape(false)
	w.pass(d.between(time.Second, 2*time.Second))
	w.watcher.scrape(false)
	w.pass(d.between(0, 10*time.Millisecond))
	if w.down {
		return
	}
	w.happened(faultFailover)
	w.locked(func() { w.restore(lagging) })
}

// anotherStateMidway gives the store other series while a page scans them, and then those of
// before again. Either a lagging replica takes over for a moment, within one reading; or a
// process deletes the series and dies, and then a replica without the deletion takes over.
func (w *world) anotherStateMidway(d *rng) {
	w.locked(func() { w.faultRate = 0 })
	reset := func(p *proc) {
		w.happened(faultFamilyReset)
		deleteOf(p, churnFamily, p.churn, "", deleteAll)
		w.callers.Go(func() { _ = p.reg.Flush(context.Background()) })
	}
	if w.plan.deletes {
		w.withWriter(d, reset)
		w.pass(w.plan.opts.Interval)
	}
	w.save()
	lagging := w.saved[len(w.saved)-1]
	w.addLabel(d)
	w.withWriter(d, func(p *proc) {
		for _, k := range labelValues[:w.labels] {
			p.add(keptFamily, k, 1)
			p.add(churnFamily, k, 1)
		}
	})
	w.pass(2 * w.plan.opts.Interval) // flushed
	w.save()
	whole := w.saved[len(w.saved)-1]
	w.watcher.scrape(false)
	w.pass(d.between(2*time.Millisecond, 5*time.Millisecond)) // the scans begin
	if w.down {
		return
	}
	until := d.between(5*time.Millisecond, 15*time.Millisecond) // they are under way
	if w.plan.deletes && w.plan.mortal && d.percent(50) {
		w.withWriter(d, func(p *proc) {
			reset(p)
			w.pass(d.between(30*time.Millisecond, 100*time.Millisecond)) // they have ended
			if p.running() {
				w.happened(faultKilled)
				p.kill() // else it would delete again
			}
		})
	} else {
		w.happened(faultFailover)
		w.locked(func() { w.restore(lagging) })
	}
	w.pass(until)
	if w.down {
		return
	}
	w.happened(faultFailover)
	w.locked(func() { w.restore(whole) })
	w.pass(w.plan.opts.LeaseDuration)
	w.watcher.scrape(false)
}

func (w *world) older(d *rng) {
	if w.down {
		return
	}
	w.happened(faultOlder)
	old := pick(d, w.saved)
	w.goDown(d.between(time.Millisecond, 4*time.Second), func() { w.restore(old) })
}

// restore takes the store back to a saved state. The caller holds w.mu.
func (w *world) restore(s *savedState) {
	w.mark("back to %v ago", int(time.Since(s.at)))
	w.server.Restore(s.snapshot)
	w.ledger.restored(s)
}

func (w *world) emptied(d *rng) {
	wipe := func() {
		w.locked(func() {
			w.faults[faultEmptied]++
			w.server.Wipe()
			w.ledger.emptied()
		})
	}
	wipe()
	switch d.below(4) {
	case 0: // again, while the processes still deal with the first
		w.faultBurst(d)
		wipe()
	case 1: // again, when old requests are still under way and no process has anything to send
		w.faultBurst(d)
		w.locked(func() { w.faultRate = 0 })
		w.pass(3 * w.plan.opts.Interval)
		wipe()
		w.pass(d.between(time.Second, latest))
	}
}

// faultBurst lets processes count while many calls go wrong for a moment.
func (w *world) faultBurst(d *rng) {
	before := w.faultRate
	w.locked(func() { w.faultRate = max(w.faultRate, 50) })
	for range 1 + d.below(3) {
		w.count(d)
		w.pass(d.between(w.plan.opts.Interval/4, 2*w.plan.opts.Interval))
	}
	w.locked(func() { w.faultRate = before })
}

// restart loses everything with another lineage: a failover to a replica that
// has nothing, or a restart without persistence.
func (w *world) restart(d *rng) {
	if w.down {
		return
	}
	w.happened(faultBlank)
	w.goDown(d.between(time.Millisecond, 4*time.Second), func() {
		w.server.Restart()
		w.ledger.restored(&savedState{at: w.began, content: newContent()})
	})
}

func (w *world) loseKey(d *rng) {
	family := pick(d, addingFamilies)
	if w.plan.totals && d.percent(20) {
		family = openFamily
	}
	if d.percent(50) { // while batches are in doubt
		w.faultBurst(d)
	}
	w.locked(func() {
		if w.ledger.generation[family] == "" {
			return
		}
		if d.percent(50) {
			w.faults[faultControlLost]++
			w.mark("the control hash of %v is lost", family)
			w.server.LoseControl(w.plan.opts.App, family)
			w.ledger.controlLost(family)
		} else {
			w.faults[faultValuesLost]++
			w.mark("the values of %v are lost", family)
			w.server.LoseValues(w.plan.opts.App, family)
			w.ledger.valuesLost(family)
		}
	})
}

func (w *world) moveClock(d *rng) {
	jump := d.between(time.Millisecond, 2*time.Minute)
	kind := faultClockForward
	if d.percent(50) {
		w.behind += jump
		jump, kind = -jump, faultClockBack
	}
	w.locked(func() {
		w.faults[kind]++
		w.ahead += jump
		w.clockMoves++
		w.server.Advance(jump)
	})
}

func (w *world) freeze(d *rng) {
	w.withWriter(d, func(p *proc) {
		w.happened(faultFrozen)
		p.freeze()
		w.later(d.between(w.plan.opts.LeaseDuration, 3*w.plan.opts.LeaseDuration), p.thaw)
	})
}

func (w *world) kill(d *rng) {
	w.withWriter(d, func(p *proc) {
		w.happened(faultKilled)
		p.count(d)
		p.kill()
		if w.plan.heirs {
			w.later(d.between(0, 2*w.plan.opts.LeaseDuration), func() { w.succeed(p, d) })
		}
	})
}

// succeed starts the successor of a dead process, as package
// prefork does. By then another process may have its index.
func (w *world) succeed(dead *proc, d *rng) {
	if len(w.writers()) >= mostProcesses {
		return
	}
	w.happened(faultSucceeded)
	var index int
	var writer string // empty if it died before its first heartbeat
	w.locked(func() { index, writer = dead.leased, dead.id })
	former := bridge.Predecessor
	defer func() { bridge.Predecessor = former }()
	bridge.Predecessor = func(string) (int, string) { return index, writer }
	w.start(false, nil).count(d)
}

func (w *world) closeOne(d *rng) {
	w.withWriter(d, func(p *proc) {
		w.happened(faultClosed)
		if w.down || p.link.partitioned {
			w.happened(faultCloseInTrouble)
		}
		p.count(d)
		p.close(d.between(50*time.Millisecond, 15*time.Second))
	})
}

func (w *world) startOne(*rng) {
	if len(w.writers()) < mostProcesses {
		w.happened(faultStarted)
		w.start(false, nil)
	}
}

// job is a process that counts a little and closes at once.
func (w *world) job(d *rng) {
	if len(w.writers()) >= mostProcesses {
		return
	}
	w.happened(faultStarted)
	p := w.start(false, nil)
	p.count(d)
	w.later(d.between(0, 2*time.Second), func() {
		if p.running() {
			w.happened(faultClosed)
			p.close(d.between(50*time.Millisecond, 15*time.Second))
		}
	})
}

// replace starts a process that asks for an index, and a little later one that takes it
// over, as when a worker is replaced.
func (w *world) replace(d *rng) {
	if len(w.writers()) >= mostProcesses-1 {
		return
	}
	index := d.below(4)
	if index == 3 {
		index = 1003 // a hold that finds no lease there does not look for a lost one so far up
	}
	w.happened(faultStarted)
	w.start(false, &index)
	w.later(d.between(time.Second, 10*time.Second), func() {
		w.happened(faultFenced)
		w.start(false, &index).count(d)
		if w.plan.rollback && d.percent(50) { // and the store steps back to before that
			before := w.saved[len(w.saved)-1]
			w.later(d.between(time.Second, w.plan.opts.LeaseDuration), func() {
				if !w.down {
					w.happened(faultFailover)
					w.locked(func() { w.restore(before) })
				}
			})
		}
	})
}

func (w *world) delete(d *rng) {
	w.withWriter(d, func(p *proc) { w.happened(p.delete(d)) })
}
