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

// see notes the lineage that the store has now. It reports whether that is another one
// than before.
func (l *lineage) see(now string) (another bool) {
	if now == l.seen {
		return false
	}
	l.changed = l.changed || l.seen != ""
	l.seen, l.verified = now, ""
	return true
}

// confirm notes that the store has, in the lineage seen, all that it ever acknowledged.
func (l *lineage) confirm() { l.verified, l.lost = l.seen, false }
