// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"time"
)

// lineage is what the writer knows of the history of the store's data. A
// restart or a failover begins another one, and may have set the data back to
// an earlier state: then every family is looked at, idle ones too, and what
// the store lacks is sent again. The lease tells readers which history the
// writer has looked at; until all have, no page is shown.
type lineage struct {
	seen     string // when it was last asked for; empty where the store does not tell
	verified string // under which the store was found to have all that it acknowledged
	changed  bool   // another one was seen before, at some time
	lost     bool   // in this one the store lacked something, and not everything was looked at since
}

// confirmed says whether the history is the one that was looked at, and nothing is
// known to be missing in it.
func (l *lineage) confirmed() bool { return l.seen == l.verified && !l.lost }

// observe asks the store for its lineage. On a change nothing is taken for
// granted any more. That includes a change back: what was acknowledged in the
// meantime may be missing.
func (w *writer) observe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now, err := w.store.Lineage(ctx)
	if err != nil || now == w.lineage.seen {
		return err
	}
	w.lineage = lineage{seen: now, changed: w.lineage.seen != "" || w.lineage.changed, lost: w.lineage.lost}
	w.lease.renewAt = time.Time{} // readers must know before anything is sent again
	w.doubtFamilies()
	return nil
}

// doubt notes that the store lacks something that it had, the lease or a family:
// it may have been emptied, so every family is looked at. The lease says so until
// that is done, and readers wait.
func (w *writer) doubt() {
	w.lineage.lost = true
	w.lease.renewAt = time.Time{}
	w.doubtFamilies()
}

func (w *writer) doubtFamilies() {
	for _, f := range *w.reg.families.Load() {
		f.out.unverified = f.out.generation != ""
	}
}

// confirm notes that the store has, in the lineage seen, all that it ever
// acknowledged, if that is so, and makes the next heartbeat tell. The lineage
// was read before the families were looked at. If it changed in between, the
// one noted is not the one that readers find, and they wait on.
func (w *writer) confirm() bool {
	if w.lineage.confirmed() {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if !f.out.fullyAcked() {
			return false
		}
	}
	w.lineage.verified, w.lineage.lost = w.lineage.seen, false
	w.lease.renewAt = time.Time{}
	return true
}
