// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"time"
)

// checkPage checks a page that a process showed. The caller holds w.mu.
func (w *world) checkPage(p *proc, start snapshot, s shown) {
	for _, family := range addingFamilies {
		w.checkFamily(p, start, family, s.values[family])
	}
	w.checkOpen(p, start, s.values[openFamily])
	w.checkStarts(p, start, s)
	w.checkCap(p, s)
	w.checkComeback(p, s)
	w.checkGauges(p, start, s)
}

// checkOpen wants the page to show a value of the Total that the store had at
// some moment of the scrape: the last before it, or one since.
func (w *world) checkOpen(p *proc, start snapshot, page map[string]amounts) {
	l := &w.ledger
	for k, a := range page {
		if since := l.total[k][max(0, start.total[k]-1):]; !slices.Contains(since, a[0]) {
			w.violated("%v shows %s %q as %v, and since the scrape began it was %v", p, openFamily, k, a[0], since)
		}
	}
	if start.falls[openFamily].any != l.falls[openFamily].any || l.keyWasLost(start, openFamily) {
		return
	}
	for k := range start.stored[openFamily] {
		if _, ok := page[k]; !ok {
			w.violated("%v does not show %s %q, which was stored before", p, openFamily, k)
		}
	}
}

// checkComeback wants a process to hold its page back after the store lost everything,
// rather than to show one that lacks a family of its own.
func (w *world) checkComeback(p *proc, s shown) {
	if p.readOnly || len(s.values[keptFamily]) > 0 || time.Since(w.ledger.emptiedAt) > 2*w.plan.opts.LeaseDuration-time.Second {
		return
	}
	if first := p.acked[keptFamily]; first.Before(w.ledger.emptiedAt) && !first.IsZero() {
		w.violated("%v shows nothing of %s, which it had stored before everything was lost", p, keptFamily)
	}
}

// checkFamily wants a page to show of a family no less than what was stored when the
// scrape began, and no more than what is stored now, unless the values fell meanwhile.
func (w *world) checkFamily(p *proc, start snapshot, family string, page map[string]amounts) {
	l := &w.ledger
	w.checkSurvived(p, start, family, page)
	if start.falls[family].any != l.falls[family].any {
		return
	}
	if !l.keyWasLost(start, family) {
		for k, least := range start.stored[family] {
			if a, ok := page[k]; !ok || a.below(least) {
				w.violated("%v shows %s %q as %v, though %v was stored before", p, family, k, a, least)
			}
		}
	}
	for k, a := range page {
		if most := l.values[family][k]; most.below(a) {
			w.violated("%v shows %s %q as %v, and no more than %v was ever added", p, family, k, a, most)
		}
	}
}

// checkSurvived wants a page to show no less than any before it, even if the store stepped
// back meanwhile, if all processes that have to bring back the rest live.
func (w *world) checkSurvived(p *proc, start snapshot, family string, page map[string]amounts) {
	l := &w.ledger
	if start.falls[family].forGood != l.falls[family].forGood {
		return
	}
	for k, before := range start.most[family] {
		a, ok := page[k]
		if ok && !a.below(before) {
			continue
		}
		if !l.keyWasLost(start, family) && l.mustWait(start, family) {
			w.violated("%v shows %s %q as %v, after %v was shown before the store stepped back", p, family, k, a, before)
		}
		l.fell(family, falls{forGood: 1}) // or for a while: it was shown
		break
	}
	if len(page) > 0 {
		w.noteShown(family, page)
	}
}

// checkGauges wants gauges of the living alone, with values that they set.
func (w *world) checkGauges(p *proc, start snapshot, s shown) {
	undisturbed := start.changes == w.ledger.changes && start.clockMoves == w.clockMoves
	shown := map[*proc]string{}
	for index, v := range s.gauges["level"] {
		owner := w.procs[int(v)/1000-1]
		if other, twice := shown[owner]; twice {
			w.violated("%v shows the gauges of %v under the indexes %s and %s", p, owner, other, index)
		}
		shown[owner] = index
		switch {
		case !owner.levels[v]:
			w.violated("%v shows a level of %v, which nobody set", p, v)
		case s.gauges["shoal_instance_info"][index] != 1:
			w.violated("%v shows a gauge with the index %s, which is nobody's", p, index)
		case undisturbed && !start.living[owner] && owner.heldAt.Before(start.begin):
			w.violated("%v shows the level %v of %v, which is not alive", p, v, owner)
		}
	}
}

// checkSent wants everything that a process counted to be in batches, once.
func (p *proc) checkSent() {
	for _, family := range summedFamilies {
		labels := sums{}
		for _, s := range []sums{p.added, p.sent} {
			for k := range s[family] {
				labels.add(family, k, amounts{})
			}
		}
		for k := range labels[family] {
			if got, want := p.sent[family][k], p.added[family][k]; got != want {
				p.w.violated("%v counted %v of %s %q, and its batches hold %v", p, want, family, k, got)
			}
		}
	}
}

// checkRest checks the fleet after it had time to recover: nothing is under
// way, nothing more is counted, and every process has verified what the store
// has, of its own accord.
func (w *world) checkRest() {
	w.watcher.scrape(true) // must show exactly what the ledger has: nothing changes meanwhile
	w.callers.Wait()
	w.locked(func() {
		lost := false
		for _, p := range w.procs {
			if p.readOnly || p.life != alive {
				continue
			}
			p.checkSent()
			for family := range p.added {
				lost = w.checkApplied(p, family) || lost
			}
		}
		if !lost {
			w.checkTotals()
		}
	})
	for _, p := range w.procs {
		if p.readOnly || p.life != alive {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.reg.Flush(ctx); err != nil {
			w.locked(func() { w.violated("%v: nothing is wrong, and Flush says %v", p, err) })
		}
		cancel()
		p.scrape(false)
	}
	w.pass(time.Second)
	w.locked(func() {
		for _, p := range w.procs {
			if !p.readOnly && p.life == alive {
				w.checkLost(p)
			}
		}
	})
	w.checkSenior()
	w.checkLevels()
}

// checkApplied wants every batch of a living process to be in the store, unless
// something happened that loses some. It reports whether any is missing.
func (w *world) checkApplied(p *proc, family string) (missing bool) {
	for seq := uint64(1); seq <= p.books.given[family]; seq++ {
		if w.ledger.applied[batchKey{p.number, family, seq}] {
			continue
		}
		if !w.ledger.mayLose {
			w.violated("batch %d of %s of %v, which lives, is not in the store", seq, family, p)
		}
		missing = true
	}
	return missing
}

// checkTotals wants the store to have what the living counted and what the
// dead had delivered: neither more nor less.
func (w *world) checkTotals() {
	families := []string{keptFamily, secondsFamily, sizeFamily}
	if !w.plan.deletes {
		families = append(families, openFamily)
	}
	for _, family := range families {
		want := sums{}
		for _, p := range w.procs {
			counted := p.added
			if p.life != alive {
				counted = w.deliveredBy(p, family)
			}
			for k, a := range counted[family] {
				want.add(family, k, a)
			}
		}
		for k, a := range want[family] {
			if w.ledger.removed[seriesKey{family, k}] {
				continue // it began anew
			}
			if got := w.ledger.values[family][k]; got != a {
				w.violated("%s %q is %v in the end, and %v was counted", family, k, got, a)
			}
		}
	}
}

// deliveredBy adds up the batches of a process that the store has.
func (w *world) deliveredBy(p *proc, family string) sums {
	delivered := sums{}
	for key := range w.ledger.applied {
		if key.proc == p.number && key.family == family {
			delivered.addOps(family, w.ledger.sent[key].ops)
		}
	}
	return delivered
}

// checkLost compares the batches that the store does not have with what the
// process says that it lost.
func (w *world) checkLost(p *proc) {
	missing, counting := 0, 0 // counting are those that added something
	for family, given := range p.books.given {
		for seq := uint64(1); seq <= given; seq++ {
			if !w.ledger.applied[batchKey{p.number, family, seq}] {
				missing++
				if b := w.ledger.sent[batchKey{p.number, family, seq}]; b == nil || !addedNothing(p.remembered(family, b)) {
					counting++
				}
			}
		}
	}
	said := int(p.books.lost)
	switch {
	case counting > said && !w.plan.pauses:
		w.violated("%v lost %d batches and says %d", p, counting, said)
	case missing < said && !w.ledger.uncertain:
		w.violated("%v lost %d batches and says %d, though it could know", p, missing, said)
	}
}

// checkLevels wants the gauges of the living, each with the last value.
func (w *world) checkLevels() {
	families, err := w.watcher.page(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if !w.mayRecover(err) {
			w.violated("nothing is wrong, and a scrape failed: %v", err)
		}
		return
	}
	gauges := newShown(w, families).gauges
	levels, load := gauges["level"], 0.0
	for _, p := range w.procs {
		if p.readOnly || p.life != alive {
			continue
		}
		if p.newest == 0 {
			continue
		}
		index := w.ledger.indexOf(p)
		if got := levels[index]; got != p.newest {
			w.violated("%v has the index %s, under which the page shows %v, not %v", p, index, got, p.newest)
		}
		delete(levels, index)
		load += float64(p.number)
	}
	if got := gauges["load"][""]; got != load {
		w.violated("the page shows a load of %v, not %v", got, load)
	}
	if len(levels) > 0 {
		w.violated("gauges of nobody are shown: %v", levels)
	}
}

// checkEmpty wants nothing in the store of processes that are gone, when their
// gauges have expired.
func (w *world) checkEmpty() {
	store := w.server.Store(w.plan.opts.App)
	app, err := store.ReadApp(context.Background())
	if err != nil || len(app.Leases) > 0 {
		w.locked(func() { w.violated("nobody is left, and the leases are %v, %v", app.Leases, err) })
	}
	for _, p := range w.procs {
		if p.id == "" {
			continue
		}
		gauges, err := store.ReadGauges(context.Background(), []string{p.id})
		if err != nil || len(gauges[0].Entries) > 0 {
			w.locked(func() { w.violated("%v is gone, and its gauges are %v, %v", p, gauges, err) })
		}
	}
}
