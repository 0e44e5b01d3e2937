// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// In some seeds series are removed that no process holds any more: their retention is so short
// that it passes within the run. What may be removed, and when, the ledger tells by itself.

// The families of these seeds alone.
const (
	crowdFamily = "crowd_total" // has more label values than the cap allows series
	stateFamily = "state"       // a Latest gauge whose values expire
)

// removalEvery says in which seeds.
const removalEvery = 20

const (
	shortRetention = 8 * time.Minute // an epoch is a minute
	shortCap       = 9               // room for the label values of the other families
	crowdLabels    = 40
)

// planRemoval adds to a plan that series are removed. It draws from a source of its own, so
// that the other seeds run as before.
func (p *plan) planRemoval(seed uint64) {
	d := newRNG(seed, 0x6d61726b)
	p.removal = true
	p.pauses = true
	p.mortal = p.mortal || d.percent(50)
	p.steps = 20 + d.below(20)
	if d.percent(85) { // minutes go by sooner
		p.opts.Interval, p.opts.LeaseDuration, p.opts.RefreshPeriod = 2*time.Second, 15*time.Second, 30*time.Second
	}
	p.days = p.clock && d.percent(40)
	p.marksLoss = d.percent(20)
	others := pick(&d, []time.Duration{0, shortRetention})
	// A state, or a clock, that is older or later than the registry's retention, but by less than
	// an hour, makes whole families look as if nobody declared them.
	if !p.rollback && !p.clock && d.percent(50) {
		p.opts.Retention = shortRetention
	}
	p.expire = d.between(5*time.Second, 2*time.Minute)
	if d.percent(40) {
		p.opts.SeriesLimit = shortCap
	}
	for _, family := range []string{keptFamily, secondsFamily, sizeFamily, openFamily, stateFamily, crowdFamily} {
		p.retentions[family] = others
	}
	p.retentions[churnFamily] = pick(&d, []time.Duration{0, shortRetention, shortRetention, 10 * time.Minute, KeepForever})
}

// retentionOf is the retention of a family, or 0 if its series stay.
func (w *world) retentionOf(family string) time.Duration {
	return max(0, cmp.Or(w.plan.retentions[family], w.plan.opts.Retention, DefRetention))
}

// removalActions are the actions of these seeds alone.
var removalActions = []action{
	{"let epochs pass", 5, nil, (*world).letEpochsPass},
	{"housekeeping", 10, nil, (*world).housekeeping},
	{"remove what has expired", 4, nil, (*world).removeExpired},
	{"count in series of its own", 20, nil, func(w *world, d *rng) {
		w.withWriter(d, func(p *proc) { p.countOwn(d) })
	}},
	{"delete a series of another process", 4, func(p *plan) bool { return p.deletes }, (*world).deleteOfAnother},
	{"lose the marks", 3, func(p *plan) bool { return p.marksLoss }, (*world).loseMarks},
	{"move the clock by days", 3, func(p *plan) bool { return p.days }, (*world).moveClockByDays},
}

func init() {
	for _, a := range removalActions {
		allowed := a.allowed
		a.allowed = func(p *plan) bool { return p.removal && (allowed == nil || allowed(p)) }
		actions = append(actions, a)
	}
}

// declareRemoval declares the families of these seeds in a process.
func (p *proc) declareRemoval() {
	p.crowd = p.reg.NewCounterVec(CounterOpts{Name: crowdFamily, Retention: p.w.plan.retentions[crowdFamily]}, []string{"k"})
	p.state = p.reg.NewGaugeVec(GaugeOpts{Name: stateFamily, Mode: Latest, Expire: p.w.plan.expire, Retention: p.w.plan.retentions[stateFamily]}, []string{"k"})
}

// ownLabel is a label value that hardly any other process uses.
func (p *proc) ownLabel() string { return fmt.Sprint("p", p.number%4) }

// countOwn counts in series that the other processes do not hold, or not all of them.
func (p *proc) countOwn(d *rng) {
	if d.percent(50) {
		p.add(churnFamily, p.ownLabel(), float64(1+d.below(5)))
	}
	labels := d.below(4)
	if d.percent(20) {
		labels = crowdLabels // more than the process has room for
	}
	for range labels {
		p.crowd.WithLabelValues(fmt.Sprint("c", d.below(crowdLabels))).Inc()
	}
	for range d.below(3) {
		p.state.WithLabelValues(fmt.Sprint("s", d.below(crowdLabels))).Set(float64(p.number))
	}
}

// letEpochsPass lets some minutes go by. The network is rather good meanwhile: a process that
// can't reach the store for the whole retention can't keep its series.
func (w *world) letEpochsPass(d *rng) {
	before := w.faultRate
	w.locked(func() { w.faultRate = min(w.faultRate, 10) })
	w.pass(d.between(time.Minute, 5*time.Minute))
	w.locked(func() { w.faultRate = before })
}

// housekeeping lets processes, and somebody else, do the housekeeping, perhaps at one moment.
func (w *world) housekeeping(d *rng) {
	for range 1 + d.below(3) {
		pause := d.between(2*time.Minute, housekeepTime)
		if d.percent(50) {
			w.locked(func() { w.housekeepNow(pause) })
			continue
		}
		w.withWriter(d, func(p *proc) {
			w.callers.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				defer cancel()
				_, _ = p.link.Housekeep(ctx, w.plan.familyRetention(), pause)
			})
		})
	}
}

// familyRetention is how long families stay that nobody declares.
func (p *plan) familyRetention() time.Duration { return cmp.Or(p.opts.Retention, DefRetention) }

// housekeepNow does the housekeeping without a network in between. The caller holds w.mu.
func (w *world) housekeepNow(pause time.Duration) {
	store := w.server.Store(w.plan.opts.App)
	_, _ = w.ledger.removing("", func() (wire.Removed, error) { // no errors here
		return store.Housekeep(context.Background(), w.plan.familyRetention(), pause)
	})
}

func (w *world) removeExpired(d *rng) {
	family := pick(d, []string{stateFamily, stateFamily, churnFamily, crowdFamily})
	for range 1 + d.below(2) {
		w.withWriter(d, func(p *proc) {
			w.callers.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				defer cancel()
				_, _ = wire.RemoveExpired(ctx, p.link, family)
			})
		})
	}
}

// deleteOfAnother deletes a series of churn that other processes hold, and that have nothing
// to count in it.
func (w *world) deleteOfAnother(d *rng) {
	w.withWriter(d, func(p *proc) {
		w.happened(faultSeriesDeleted)
		deleteOf(p, churnFamily, p.churn, fmt.Sprint("p", d.below(4)), deleteOne)
	})
}

func (w *world) loseMarks(d *rng) {
	family := pick(d, []string{keptFamily, churnFamily, crowdFamily, stateFamily, secondsFamily})
	w.locked(func() {
		w.faults[faultMarksLost]++
		w.mark("the marks of %v are lost", family)
		w.server.LoseMarks(w.plan.opts.App, family)
		w.ledger.marksLost(family)
	})
}

// moveClockByDays moves the clock forward, and back some minutes later.
func (w *world) moveClockByDays(d *rng) {
	jump := d.between(24*time.Hour, 72*time.Hour)
	move := func(by time.Duration, kind fault) {
		w.locked(func() {
			w.mark("the clock jumps by %v", int(by))
			w.faults[kind]++
			w.ahead += by
			w.clockMoves++
			w.server.Advance(by)
		})
	}
	if d.percent(50) {
		move(jump, faultClockForward)
		w.later(d.between(time.Second, 4*time.Minute), func() { move(-jump, faultClockBack) })
		return
	}
	move(-jump, faultClockBack)
	w.later(d.between(time.Second, 4*time.Minute), func() { move(jump, faultClockForward) })
}

// removing compares what the store has before and after a call that removes series. Family is
// empty for the housekeeping. The caller holds w.mu.
func (l *ledger) removing(family string, call func() (wire.Removed, error)) (wire.Removed, error) {
	removed, err := call()
	idle, expired := 0, 0
	now := l.w.serverNow().UnixMicro()
	for name := range l.w.plan.retentions {
		generation := l.generation[name]
		if generation == "" || l.damaged[name] || l.familyWent(name) {
			continue
		}
		stored := l.read(name, generation)
		for key, s := range l.lives {
			if _, there := stored[key.k]; key.family != name || there {
				continue
			}
			switch {
			case family != "" && name != family:
				l.w.violated("%s %q vanished when idle series of %s were removed", name, key.k, family)
			case s.until > 0 && s.until <= now:
				expired++
			default:
				l.checkIdle(key, s)
				idle++
			}
			l.goesIdle(key, now)
		}
	}
	if err == nil && (removed.Idle < idle || removed.Expired < expired) {
		l.w.violated("the housekeeping says that it removed %+v, and %d idle and %d expired series went", removed, idle, expired)
	}
	return removed, err
}

// goesIdle notes that a series was removed, with all that was counted in it.
func (l *ledger) goesIdle(key seriesKey, now int64) {
	l.w.mark("%v %q is removed", key.family, key.k)
	l.w.faults[faultSeriesRemoved]++
	l.endLife(key, now)
	delete(l.takenBack, key)
	l.removed[key] = true
	delete(l.values[key.family], key.k)
	l.fell(key.family, forGood)
}

// checkIdle wants a series that was removed to be idle, and held by nobody.
func (l *ledger) checkIdle(key seriesKey, s seriesLife) {
	age := l.epochs[key.family].number - s.marked
	if l.w.retentionOf(key.family) == 0 || age < idleAge {
		l.w.violated("%s %q was removed %d epochs after it was held", key.family, key.k, age)
	}
	for number := range l.holds[key] {
		if p := l.w.procs[number-1]; p.life == alive && !p.link.partitioned && p.link.frozen == nil && p.holds(key) {
			l.w.violated("%s %q was removed as idle, and %v holds it", key.family, key.k, p)
		}
	}
}

// familyWent says whether a family was removed as a whole. A living process must not declare it.
func (l *ledger) familyWent(family string) bool {
	store := l.w.server.Store(l.w.plan.opts.App)
	states, _ := store.ReadFamilies(context.Background(), []string{family}) // no errors here
	if states[0].Err == nil {
		return false
	}
	for _, p := range l.w.procs {
		if p.life == alive && !p.readOnly && !p.link.partitioned && p.link.frozen == nil && !p.acked[family].IsZero() {
			l.w.violated("the housekeeping removed %s, which %v declares", family, p)
		}
	}
	l.valuesLost(family)
	return true
}

// checkCap wants a page to show no more series of a family than the cap, and the overflow series.
func (w *world) checkCap(p *proc, s shown) {
	for family := range w.plan.retentions {
		if n, limit := s.counts[family], w.plan.opts.SeriesLimit; limit > 0 && n > limit+1 {
			w.violated("%v shows %d series of %s, and the cap is %d", p, n, family, limit)
		}
	}
}
