// SPDX-License-Identifier: Apache-2.0

package shoal

// lineage is what the writer knows of the lineage, the name of the history of Redis's
// data. A restart or a failover begins another one, and Redis may have stepped back:
// then every family is registered again, idle ones too, and what Redis lacks is sent
// again. The lease tells the readers which lineage the writer has verified. They show no
// page until all living writers have verified the present one.
type lineage struct {
	seen     string // as last read; empty if Redis does not tell it
	verified string // in which Redis was found to have all that it acknowledged
	changed  bool   // another one was seen before, at some time
	lost     bool   // Redis lacked something, and not everything was verified since
}

// confirmed says whether the lineage seen is the one that was verified, and nothing is
// known to be missing in it.
func (l *lineage) confirmed() bool { return l.seen == l.verified && !l.lost }

// see notes the lineage that Redis has now. It reports whether that is another one than
// before.
func (l *lineage) see(now string) (another bool) {
	if now == l.seen {
		return false
	}
	l.changed = l.changed || l.seen != ""
	l.seen, l.verified = now, ""
	return true
}

// confirm notes that Redis has, in the lineage seen, all that it ever acknowledged.
func (l *lineage) confirm() { l.verified, l.lost = l.seen, false }
