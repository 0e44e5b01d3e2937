// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What the ledger knows of the processes' leases.

type ledgerLease struct {
	proc     *proc
	deadline time.Time // the store's time
	renewal  int       // the number of the last; renewals of all processes are counted together
}

func (l *ledger) identified(p *proc, writer string) {
	if p.id == "" {
		p.id = writer
	}
	if p.id != writer {
		l.w.violated("%v took a new identity, and nobody cloned it", p)
	}
}

// searchedFirst are the lowest indexes, where a process that has lost its entry finds it. Beyond
// them it may have a second one.
const searchedFirst = 32

func (l *ledger) held(p *proc, req wire.HoldRequest, reply wire.HoldReply) {
	l.identified(p, req.Writer)
	if !l.living()[p] {
		p.leasedAt = time.Now()
	}
	for index, other := range l.leases {
		if other.proc != p || index == reply.Index {
			continue
		}
		// Housekeeping removes an entry that was noted before the clock was set back.
		if left := other.deadline.Sub(l.w.serverNow()); left > 0 && left <= req.TTL {
			if max(index, reply.Index) < searchedFirst { // beside few leases a writer finds its own
				l.w.violated("%v holds the indexes %d and %d", p, index, reply.Index)
			}
			continue // readers ignore it
		}
		delete(l.leases, index)
	}
	before := l.leases[reply.Index]
	if req.Predecessor != "" && before.proc != nil && before.proc != p && before.proc.id != req.Predecessor &&
		reply.Now.Before(before.deadline) {
		l.w.violated("%v took the index %d of %v, which lives and is not its predecessor", p, reply.Index, before.proc)
	}
	l.renewals++
	p.leased = reply.Index
	l.leases[reply.Index] = ledgerLease{p, reply.Now.Add(req.TTL), l.renewals}
	l.confirmed[p.number] = req.Lineage
	p.heldAt = time.Now()
}

func (l *ledger) released(p *proc, index int) {
	if l.leases[index].proc == p {
		delete(l.leases, index)
	}
}

func (l *ledger) wroteGauges(p *proc, g wire.GaugeWrite, status wire.GaugeStatus) {
	if status == wire.GaugesOK && l.leases[g.Index].proc != p {
		l.w.violated("%v wrote gauges under the index %d, which is not its own", p, g.Index)
	}
}

// indexOf is the index under which the store shows a process.
func (l *ledger) indexOf(p *proc) string {
	last, where := 0, ""
	for index, lease := range l.leases {
		if lease.proc == p && lease.renewal > last {
			last, where = lease.renewal, strconv.Itoa(index)
		}
	}
	return where
}

// living are the processes whose lease has not expired.
func (l *ledger) living() map[*proc]bool {
	now, living := l.w.serverNow(), map[*proc]bool{}
	for _, lease := range l.leases {
		if now.Before(lease.deadline) {
			living[lease.proc] = true
		}
	}
	return living
}
