// SPDX-License-Identifier: Apache-2.0

package shoal

// lineage is what the writer knows of the history of the store's data. A
// restart or a failover begins another one, and may have set the data back to
// an earlier state: then every family is registered anew, idle ones too, and what
// the store lacks is sent again. The lease tells readers which lineage the
// writer has verified; until all living writers have, no page is shown.
type lineage struct {
	seen     string // when it was last read; empty where the store does not tell
	verified string // under which the store was found to have all that it acknowledged
	changed  bool   // another one was seen before, at some time
	lost     bool   // the store lacked something, and not everything was verified since
}

// confirmed says whether the lineage seen is the one that was verified, and nothing is
// known to be missing in it.
func (l *lineage) confirmed() bool { return l.seen == l.verified && !l.lost }

// readLineage asks the store for its lineage. On a change nothing is taken for
// granted any more. That includes a change back: what was acknowledged in the
// meantime may be missing.
func (w *writer) readLineage() error {
	ctx, cancel := w.callContext()
	defer cancel()
	now, err := w.store.Lineage(ctx)
	l := &w.lineage
	if err != nil || now == l.seen {
		return err
	}
	l.changed = l.changed || l.seen != ""
	l.seen, l.verified = now, ""
	w.lease.renewNow() // readers must know before anything is sent again
	w.doubtFamilies()
	return nil
}

// doubt notes that the store lacks something that it had, the lease or a family.
// It may have been emptied, so every family is registered anew. The lease tells
// readers, who wait until that is done.
func (w *writer) doubt() {
	w.lineage.lost = true
	w.lease.renewNow()
	w.doubtFamilies()
}

// doubtFamilies makes the writer register every family again before it sends more of
// it.
func (w *writer) doubtFamilies() {
	for _, f := range *w.reg.families.Load() {
		f.out.unverified = f.out.generation != ""
	}
}

// confirmLineage notes that the store has, in the lineage seen, all that it ever
// acknowledged, if that is so, and makes the next heartbeat tell. The lineage
// was read before the families were registered. If it changed in between, the
// one noted is not the one that readers find, and they wait on.
func (w *writer) confirmLineage() bool {
	if w.lineage.confirmed() {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if !f.out.fullyAcked() {
			return false
		}
	}
	w.lineage.verified, w.lineage.lost = w.lineage.seen, false
	w.lease.renewNow()
	return true
}
