// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// ledger tells independently what the store must hold, from the batches that
// reached it: a batch counts once, whatever the store says, and a step back of
// the store takes back what came after. Everything is guarded by w.mu.
type ledger struct {
	w    *world
	sent map[batchKey]*sentBatch
	content

	epoch map[string]int // of a family: raised whenever its values may fall
	// keysLost counts how often one of a family's keys was lost: while it is, pages lack
	// the family, and it may be registered anew before anybody looks.
	keysLost map[string]int
	fall     map[string]int // the same, but for a step back that its writers can mend
	moved    step           // the last step back
	// confirmed is the lineage that a process said last to have looked at.
	confirmed map[int]string
	open      map[string][]float64 // every value that the Total had in the store, by label
	lineage   string               // the store's, empty where it does not tell
	rolled    map[batchKey]bool    // taken back by a step back, and not applied again
	changes   int                  // of the store from outside
	// mayLose says that something happened which loses what living processes
	// had delivered; fuzzy, that they can't tell how much.
	mayLose, fuzzy bool
	emptiedAt      time.Time // when everything was lost last
}

// content is what the store holds, and what goes back with it.
type content struct {
	applied    map[batchKey]bool
	values     map[string]map[string]amounts // of the user's families that add up, by label
	generation map[string]string
	damaged    map[string]bool // one of the family's keys was lost, and it was not registered since
	leases     map[int]ledgerLease
}

type batchKey struct {
	proc   int
	family string
	seq    uint64
}

// sentBatch is a batch as it was when it was sent first.
type sentBatch struct {
	ops     []wire.Op
	acked   time.Time // last; zero before, and once it was sent again
	settled bool      // acknowledged, and not taken back since
	gone    bool      // it was settled and then lost in a wipe: Prometheus has seen it
}

type ledgerLease struct {
	proc     *proc
	deadline time.Time // the store's time
}

// amounts are what a series adds up to: of a counter the value, else the sum
// and behind it the counts.
type amounts [5]float64

func (a *amounts) add(b amounts) {
	for i := range a {
		a[i] += b[i]
	}
}

// below says whether a has less of anything than b.
func (a amounts) below(b amounts) bool {
	for i := range a {
		if a[i] < b[i] {
			return true
		}
	}
	return false
}

func newLedger(w *world) ledger {
	return ledger{
		w: w, sent: map[batchKey]*sentBatch{}, content: newContent(),
		epoch: map[string]int{}, fall: map[string]int{}, keysLost: map[string]int{}, confirmed: map[int]string{}, rolled: map[batchKey]bool{},
		open: map[string][]float64{},
	}
}

func newContent() content {
	return content{
		applied: map[batchKey]bool{}, values: map[string]map[string]amounts{},
		generation: map[string]string{}, damaged: map[string]bool{}, leases: map[int]ledgerLease{},
	}
}

func (c *content) clone() content {
	return content{
		applied: maps.Clone(c.applied), values: cloneValues(c.values),
		generation: maps.Clone(c.generation), damaged: maps.Clone(c.damaged), leases: maps.Clone(c.leases),
	}
}

func cloneValues(values map[string]map[string]amounts) map[string]map[string]amounts {
	c := make(map[string]map[string]amounts, len(values))
	for family, series := range values {
		c[family] = maps.Clone(series)
	}
	return c
}

// registered notes a registration that the store carried out.
func (l *ledger) registered(p *proc, r wire.Registration, reply wire.RegisterReply) {
	l.identified(p, r.Writer)
	l.w.mark("the store has registered %v for %v: last %v, orphan %v", r.Family, p, reply.Last, reply.Orphan)
	if reply.Err != nil || reply.Clash != "" {
		l.w.violated("%v: registering %s was answered %+v", p, r.Family, reply)
		return
	}
	l.generation[r.Family] = reply.Generation
	delete(l.damaged, r.Family)
}

func (l *ledger) identified(p *proc, writer string) {
	if p.id == "" {
		p.id = writer
	}
	if p.id != writer {
		l.w.violated("%v took a new identity, and nobody cloned it", p)
	}
}

// sending notes what leaves a process: a batch is frozen, so each time the same.
func (l *ledger) sending(p *proc, c wire.Commit) {
	key := batchKey{p.number, c.Family, c.Seq}
	b := l.sent[key]
	if b == nil {
		b = &sentBatch{ops: slices.Clone(c.Ops)}
		l.sent[key] = b
		p.froze(c)
		return
	}
	if !slices.Equal(b.ops, c.Ops) {
		l.w.violated("%v sends batch %d of %s again with other contents: %v, at first %v", p, c.Seq, c.Family, c.Ops, b.ops)
	}
	// Once it is on its way again, an outage may hold it up.
	if !b.acked.IsZero() && time.Since(b.acked) > keepFor+time.Minute {
		l.w.violated("%v sends batch %d of %s again %v after it was acknowledged", p, c.Seq, c.Family, time.Since(b.acked))
	}
	b.acked = time.Time{}
}

// applies notes a batch that the store was given.
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
	if l.sent[key].gone {
		l.w.violated("batch %d of %s of %v, acknowledged before a wipe, was sent again after it", c.Seq, c.Family, p)
	}
	l.applied[key] = true
	delete(l.rolled, key)
	if !addsUp(c.Family) {
		return
	}
	series := l.values[c.Family]
	if series == nil {
		series = map[string]amounts{}
		l.values[c.Family] = series
	}
	for _, op := range c.Ops {
		switch op.Kind {
		case wire.OpAdd:
			a := series[labelOf(op.Field)]
			a.add(parseAmounts(op.Value))
			series[labelOf(op.Field)] = a
		case wire.OpDelete:
			delete(series, labelOf(op.Field))
			l.mayFall(c.Family)
		case wire.OpClear:
			clear(series)
			l.mayFall(c.Family)
		}
	}
	l.noteOpen()
}

// noteOpen notes the values of the Total, after whatever may have changed them.
func (l *ledger) noteOpen() {
	for k, a := range l.values[openFamily] {
		if had := l.open[k]; len(had) == 0 || had[len(had)-1] != a[0] {
			l.open[k] = append(had, a[0])
		}
	}
}

// answered notes what a process hears of its batch; changes is what the ledger
// had when it was sent.
func (l *ledger) answered(p *proc, c wire.Commit, reply wire.CommitReply, changes int) {
	if reply.Err != nil || (reply.Status != wire.CommitOK && reply.Status != wire.CommitDuplicate) {
		return
	}
	key := batchKey{p.number, c.Family, c.Seq}
	if !l.applied[key] && changes == l.changes {
		l.w.violated("batch %d of %s of %v was acknowledged (%d) and is not in the store", c.Seq, c.Family, p, reply.Status)
	}
	b := l.sent[key]
	if p.acked[c.Family].IsZero() {
		p.acked[c.Family] = time.Now()
	}
	b.acked = time.Now()
	b.settled = l.applied[key]
}

func (l *ledger) held(p *proc, req wire.HoldRequest, reply wire.HoldReply) {
	l.identified(p, req.Writer)
	for index, other := range l.leases {
		if other.proc == p && index != reply.Index {
			// Housekeeping removes an entry that was noted before the clock was set back.
			left := other.deadline.Sub(l.w.serverNow())
			if left > 0 && left <= req.TTL {
				l.w.violated("%v holds the indexes %d and %d", p, index, reply.Index)
			}
			delete(l.leases, index)
		}
	}
	l.leases[reply.Index] = ledgerLease{p, reply.Now.Add(req.TTL)}
	l.confirmed[p.number] = req.Lineage
	p.heldAt = time.Now()
}

func (l *ledger) released(p *proc, index int) {
	p.releasedAt = time.Now()
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
	for index, lease := range l.leases {
		if lease.proc == p {
			return strconv.Itoa(index)
		}
	}
	return ""
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

// emptied notes that the store forgot everything, and kept its history:
// what was acknowledged must not come again.
func (l *ledger) emptied() {
	l.changes++
	l.mayLose = true
	l.emptiedAt = time.Now()
	l.lost(func(batchKey) bool { return true })
	l.content = newContent()
	l.bump()
}

// lost notes which batches are lost in a wipe. A process that has not looked at
// the store since it last stepped back can't tell the one from the other, and
// may bring everything again.
func (l *ledger) lost(which func(batchKey) bool) {
	for key := range l.applied {
		if b := l.sent[key]; which(key) && b.settled && l.confirmed[key.proc] == l.lineage {
			b.gone = true
		}
	}
}

func (l *ledger) controlLost(family string) {
	l.changes++
	l.mayLose, l.fuzzy = true, true
	l.damaged[family] = true
	l.keysLost[family]++
	l.fall[family]++ // what is in doubt then is dropped
}

func (l *ledger) valuesLost(family string) {
	l.changes++
	l.mayLose = true
	l.lost(func(key batchKey) bool { return key.family == family })
	maps.DeleteFunc(l.applied, func(key batchKey, _ bool) bool { return key.family == family })
	delete(l.values, family)
	l.damaged[family] = true
	l.keysLost[family]++
	l.mayFall(family)
}

func (l *ledger) bump() {
	for _, family := range summedFamilies {
		l.mayFall(family)
	}
}

// mayFall notes that a family's values fall for good.
func (l *ledger) mayFall(family string) {
	l.epoch[family]++
	l.fall[family]++
}

// restored notes that the store went back to a snapshot.
func (l *ledger) restored(s *savedState) {
	l.changes++
	if len(s.content.generation) == 0 {
		l.emptiedAt = time.Now()
	}
	old := time.Since(s.at) > keepFor/2 // writers may keep no more what came since
	l.mayLose = l.mayLose || old
	before := l.content
	l.content = s.content.clone()
	for key := range l.applied {
		if !before.applied[key] {
			l.fuzzy = true // what had been lost, and counted, is back
		}
	}
	for key := range before.applied {
		if l.applied[key] {
			continue
		}
		l.rolled[key] = true
		l.sent[key].settled = false
		if l.generation[key.family] != before.generation[key.family] && (l.confirmed[key.proc] != l.lineage || l.w.plan.pauses) {
			l.mayLose = true // who did not know the lineage before takes it for a wipe; or what came first is kept no more
		}
	}
	for _, b := range l.sent {
		b.gone = false
	}
	l.noteOpen()
	l.asked()
	l.moved = step{time.Now(), l.w.clockMoves}
	for _, family := range summedFamilies {
		l.epoch[family]++
		if old || l.fall[family] != s.fall[family] || l.damaged[family] || before.damaged[family] ||
			l.generation[family] == "" || l.generation[family] != before.generation[family] {
			l.fall[family]++
		}
	}
}

// asked notes the store's lineage.
func (l *ledger) asked() {
	l.lineage, _ = l.w.server.Store(l.w.plan.opts.App).Lineage(context.Background()) // no errors here
	if l.lineage == "" {
		l.lineage = "not told" // and nobody ever confirms it
	}
}

// step is a step back of the store.
type step struct {
	at         time.Time
	clockMoves int // up to then
}

// mends says whether a page must wait until what a family lacks is back: all
// those who have to bring it are alive, as the store tells and told when the
// scrape began, and pages are still held back.
func (l *ledger) mends(g snapshot, family string) bool {
	if l.w.plan.hidden || l.w.clockMoves != l.moved.clockMoves ||
		time.Since(l.moved.at) > 2*l.w.plan.opts.LeaseDuration-time.Second {
		return false
	}
	living := l.living()
	for _, owners := range []map[*proc]bool{g.owing[family], l.owing(family)} {
		for owner := range owners {
			if !living[owner] || !g.living[owner] {
				return false
			}
			// A lease that seems to last longer, as the clock was set back, is not believed
			// for longer than it was given: not that of the dead, nor of the frozen.
			if l.w.behind > 0 && (owner.life != alive || time.Since(owner.heldAt) >= l.w.plan.opts.LeaseDuration) {
				return false
			}
		}
	}
	return true
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

// savedState is what a replica, or the disk, has.
type savedState struct {
	fall     map[string]int
	at       time.Time
	snapshot *memstore.Snapshot
	content  content
}

// labelOf is the one label's value of a stored field, or nothing.
func labelOf(field string) string {
	_, value, _ := strings.Cut(field, "\xff")
	return value
}

func parseAmounts(text string) (a amounts) {
	vector, err := wire.ParseVector(nil, text)
	if err != nil {
		panic(err)
	}
	for _, c := range vector {
		a[slotOf[c.Name]] = c.Value
	}
	return a
}

// slotOf says where a component's amount is; the bounds are those of the
// simulation's histogram.
var slotOf = map[string]int{"": 0, wire.ComponentSum: 0, wire.ComponentCount: 1, "1": 1, "2": 2, "4": 3, "+Inf": 4}
