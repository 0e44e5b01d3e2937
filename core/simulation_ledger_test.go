// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// ledger tells independently what the store must hold. It sees each batch when a process
// sends it, when the store applies it, and when the process is answered, so it knows
// which are
//
//   - sent: whenever the process sends one again, it must have the same contents;
//   - in doubt: sent and not answered, so only the ledger knows whether the store has it;
//   - acknowledged: the process was told that the store has it;
//   - applied: the store has it now. It must be applied once, whatever the store answers.
//
// What happens to the store from outside (simulation_losses_test.go) changes what is
// applied, and says which losses are allowed from then on. No other loss is.
//
// Everything is guarded by w.mu.
type ledger struct {
	w    *world
	sent map[batchKey]*sentBatch
	content
	lineage   string         // the store's, or notTold
	confirmed map[int]string // by process, the lineage that it confirmed last
	renewals  int            // of leases, by all processes

	changes   int                  // how often something happened to the store from outside
	falls     map[string]falls     // by family
	stepped   step                 // the last step back
	rolled    map[batchKey]bool    // taken back by a step back, and not applied again
	emptiedAt time.Time            // when the store lost everything last
	total     map[string][]float64 // by label, every value that the Total had in the store, in order
	number    int                  // of lives so far
	takenBack map[seriesKey]int    // the lives that a step back took, and that were not brought back yet
	removed   map[seriesKey]bool   // the series that were ever removed as idle
	shown     map[seriesKey]shownStart
	unmarked  map[string]bool // families whose marks were lost: ages begin when the housekeeping finds that

	mayLose   bool // living processes may lack what the store had acknowledged
	uncertain bool // and they can't tell how many batches
}

// content is what the store holds, and what goes back with it.
type content struct {
	applied    map[batchKey]bool
	values     sums // of the user's families that add up
	generation map[string]string
	damaged    map[string]bool // one of the family's keys was lost, and it was not registered since
	leases     map[int]ledgerLease
	markBooks
}

type batchKey struct {
	proc   int
	family string
	seq    uint64
}

// sentBatch is a batch as it was when it was sent first.
type sentBatch struct {
	ops   []wire.Op
	first time.Time // when it was sent first
	acked time.Time // last; zero before, and once it was sent again
	had   bool      // the process was told that the store has it, and that was not taken back since
	wiped bool      // the store had it and lost it in a wipe: Prometheus has seen it, it must not come again
	whole bool      // the overflow series may have taken some of it, which was not removed with its series
}

// savedState is what a replica, or the disk, has.
type savedState struct {
	at       time.Time
	snapshot *memstore.Snapshot
	content  content
	falls    map[string]falls
}

func newLedger(w *world) ledger {
	return ledger{
		w: w, sent: map[batchKey]*sentBatch{}, content: newContent(), confirmed: map[int]string{},
		falls: map[string]falls{}, rolled: map[batchKey]bool{}, total: map[string][]float64{},
		takenBack: map[seriesKey]int{}, removed: map[seriesKey]bool{}, shown: map[seriesKey]shownStart{}, unmarked: map[string]bool{},
	}
}

func newContent() content {
	return content{
		applied: map[batchKey]bool{}, values: sums{},
		generation: map[string]string{}, damaged: map[string]bool{}, leases: map[int]ledgerLease{},
		markBooks: newMarkBooks(),
	}
}

func (c *content) clone() content {
	return content{
		applied: maps.Clone(c.applied), values: c.values.clone(),
		generation: maps.Clone(c.generation), damaged: maps.Clone(c.damaged), leases: maps.Clone(c.leases),
		markBooks: c.markBooks.clone(),
	}
}

// registered notes a registration that the store carried out.
func (l *ledger) registered(p *proc, r wire.Registration, reply wire.RegisterReply) {
	l.identified(p, r.Writer)
	l.w.mark("the store has registered %v for %v: last %v, orphan %v", r.Family, p, reply.Last, reply.Orphan)
	if reply.Err != nil || reply.Clash != "" {
		l.w.violated("%v: registering %s was answered %+v", p, r.Family, reply)
		return
	}
	l.noteEpoch(r, reply)
	l.generation[r.Family] = reply.Generation
	delete(l.damaged, r.Family)
}

// sending notes a batch that leaves a process.
func (l *ledger) sending(p *proc, c wire.Commit) {
	key := batchKey{p.number, c.Family, c.Seq}
	b := l.sent[key]
	if b == nil {
		l.sent[key] = &sentBatch{ops: slices.Clone(c.Ops), first: time.Now()}
		p.notesNamed(c)
		p.sent.addOps(c.Family, c.Ops)
		if c.Family == lostFamily {
			p.toldLost(c.Ops)
		}
		return
	}
	if !slices.Equal(b.ops, c.Ops) && !p.mayOmit(b, c) {
		l.w.violated("%v sends batch %d of %s again with other contents: %v, at first %v", p, c.Seq, c.Family, c.Ops, b.ops)
	}
	p.checkForgotten(b, c)
	// Once it is on its way again, an outage may hold it up.
	if !b.acked.IsZero() && time.Since(b.acked) > keepFor+time.Minute {
		l.w.violated("%v sends batch %d of %s again %v after it was acknowledged", p, c.Seq, c.Family, time.Since(b.acked))
	}
	b.acked = time.Time{}
}

// applies notes what the store made of a batch that reached it.
func (l *ledger) applies(p *proc, c wire.Commit, reply wire.CommitReply) {
	key := batchKey{p.number, c.Family, c.Seq}
	l.w.mark("the store has %v of %v for batch %v of %v", reply.Status, p, c.Seq, c.Family)
	if reply.Err != nil {
		l.w.violated("%v: batch %d of %s: %v", p, c.Seq, c.Family, reply.Err)
	}
	if reply.Status != wire.CommitOK {
		return
	}
	if l.applied[key] {
		l.w.violated("batch %d of %s of %v was applied twice", c.Seq, c.Family, p)
	}
	if l.sent[key].wiped {
		l.w.violated("batch %d of %s of %v, acknowledged before a wipe, was sent again after it", c.Seq, c.Family, p)
	}
	l.applied[key] = true
	for k, gone := range l.deletedBy(c) {
		if gone {
			delete(l.values[c.Family], k)
		}
	}
	l.committed(p, c)
	delete(l.rolled, key)
	for _, op := range c.Ops {
		switch op.Kind {
		case wire.OpAdd:
			l.values.addOps(c.Family, []wire.Op{op})
		case wire.OpDelete, wire.OpClear:
			l.fell(c.Family, forGood)
		}
	}
	l.noteTotal()
}

// noteTotal notes the values of the Total, after whatever may have changed them.
func (l *ledger) noteTotal() {
	for k, a := range l.values[openFamily] {
		if had := l.total[k]; len(had) == 0 || had[len(had)-1] != a[0] {
			l.total[k] = append(had, a[0])
		}
	}
}

// answered notes what a process hears of its batch; changes is what the ledger had when
// it was sent.
func (l *ledger) answered(p *proc, c wire.Commit, reply wire.CommitReply, changes int) {
	if reply.Err != nil || (reply.Status != wire.CommitOK && reply.Status != wire.CommitDuplicate) {
		return
	}
	key := batchKey{p.number, c.Family, c.Seq}
	if !l.applied[key] && changes == l.changes {
		l.w.violated("batch %d of %s of %v was acknowledged (%d) and is not in the store", c.Seq, c.Family, p, reply.Status)
	}
	if p.acked[c.Family].IsZero() {
		p.acked[c.Family] = time.Now()
	}
	b := l.sent[key]
	b.acked, b.had = time.Now(), l.applied[key]
	b.whole = b.whole || reply.Overflowed > 0 || reply.Status == wire.CommitDuplicate
}
