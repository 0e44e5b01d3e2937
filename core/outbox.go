// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Bounds on what an outbox keeps; see docs/protocol.md.
const (
	keepFor     = 10 * time.Minute // acknowledged batches, in case Redis steps back
	keepBytes   = 4 << 20          // of these, over all families
	doubtfulFor = 24 * time.Hour   // batches in doubt
	batchWeight = 256              // scalars a batch, so that it blocks Redis for less than 1 ms
	batchBytes  = 128 << 10

	histogramWeight = 8 // scalars that a histogram's commit costs
	summaryWeight   = 3
	birthWeight     = 3   // scalars that it costs besides to mark a series, which its first batch does
	birthBytes      = 256 // of the field of such a series cost a scalar more
)

// batch is what a family gathered up to a moment. Its ops never change, so that it can
// be sent again until Redis acknowledges it.
type batch struct {
	seq      uint64
	ops      []wire.Op
	overflow string    // the field for what exceeds the cap; that of all the ops
	size     int       // bytes, about
	weight   int       // scalars that it costs
	frozen   time.Time // when the ops were gathered
	acked    time.Time
	place    uint64 // see keptBatch
	inDoubt  bool   // sent, and Redis may or may not have applied it
	spilled  bool   // the overflow series may have taken some of it
	waiters  []*waiter
}

// outbox is one family's side of the commit protocol: what was frozen and not
// acknowledged, and what was acknowledged and is kept in case Redis steps back. It
// does no I/O and belongs to the writer goroutine. docs/protocol.md has the table of
// answers and what follows from each.
type outbox struct {
	generation string
	had        string    // the generation under this process's former identity, until it registers again
	unverified bool      // Redis may have lost it: register it again to find out
	damaged    bool      // in its place Redis holds what shoal does not write: no page shows it
	refused    error     // set while another type holds the name
	retryAt    time.Time // when to ask for the name again

	// mu guards changes of queue and sending, and of inDoubt of the batches in queue: other
	// goroutines ask what is undelivered. The writer reads them without it.
	mu      sync.Mutex
	sending int // so many of queue, the first ones, were sent and not answered yet

	acked  uint64   // the newest number that Redis is believed to have
	newest uint64   // the newest number ever given
	base   uint64   // numbers up to here are never sent in this generation
	origin uint64   // the last number before this generation's first batch
	queue  []*batch // not acknowledged, in order
	kept   []*batch // acknowledged, in order
	size   int      // bytes in kept
	// freezeAt is when the last freeze began, by monotonicNow.
	freezeAt int64
	// seen is when Redis was last known to have this generation, by monotonicNow.
	seen int64
	// lineage is the lineage as known when Redis last acknowledged a batch or registered
	// the family. If the family is lost in the same lineage, Redis was emptied.
	lineage string

	lost map[string]int // batches by reason, since last collected

	holding
	beyondCap        int       // values of a Latest gauge for which Redis had no room under the cap
	beyondCapWaiters []*waiter // of these values
	// sweep is the removal of expired values that makes room for them, if it goes on.
	sweep *wire.Sweep
}

// push queues a batch under the next number.
func (o *outbox) push(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.newest++
	b.seq = o.newest
	o.queue = append(o.queue, b)
}

// send notes that one more of the queued batches is sent.
func (o *outbox) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending++
}

// answered notes that all that was sent is answered, or in doubt.
func (o *outbox) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = 0
}

// doubt notes that Redis may have a queued batch or not.
func (o *outbox) doubt(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.inDoubt = true
}

// prev is the number that Redis must have before the i-th queued batch.
func (o *outbox) prev(i int) uint64 {
	if i == 0 {
		return o.acked
	}
	return max(o.acked, o.queue[i-1].seq)
}

// acknowledge moves the oldest queued batch to the kept ones.
func (o *outbox) acknowledge(now time.Time, lineage string) *batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.queue[0]
	o.queue, o.sending = o.queue[1:], max(0, o.sending-1)
	o.lineage, o.seen = lineage, monotonicNow()
	b.acked, b.inDoubt = now, false
	o.acked = max(o.acked, b.seq)
	o.kept = append(o.kept, b)
	o.size += b.size
	return b
}

// oldestPlace is the place of the oldest kept batch; 0 if none is kept.
func (o *outbox) oldestPlace() uint64 {
	if len(o.kept) == 0 {
		return 0
	}
	return o.kept[0].place
}

// forget drops the oldest kept batch.
func (o *outbox) forget() {
	o.size -= o.kept[0].size
	o.kept[0] = nil
	o.kept = o.kept[1:]
}

// rewind goes back to last, the number that Redis has: the kept batches above it return
// to the queue. Those between last and the oldest kept one are lost. Redis may lack marks
// and series too, so this process's series are to be marked.
func (o *outbox) rewind(last uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = 0
	n := len(o.kept)
	for n > 0 && o.kept[n-1].seq > last {
		n--
		o.size -= o.kept[n].size
	}
	for _, b := range o.kept[n:] {
		b.inDoubt = true
	}
	o.queue = append(slices.Clone(o.kept[n:]), o.queue...)
	o.kept = o.kept[:n:n]
	from, next := max(last, o.base), o.acked+1
	if len(o.queue) > 0 {
		next = o.queue[0].seq // if it is not above last, Redis answers that it is a duplicate
	}
	if next > from+1 {
		o.lose(lostRollback, next-from-1)
		o.base = next - 1
	}
	o.acked, o.due = last, true
}

// fullyAcked says whether Redis is known to have all that it acknowledged, and all that it
// may have applied without an acknowledgement.
func (o *outbox) fullyAcked() bool {
	return o.generation == "" || o.damaged ||
		!o.unverified && !slices.ContainsFunc(o.queue, func(b *batch) bool { return b.inDoubt })
}

// replaced says whether the answer to a registration is of another generation than
// the one that was known: Redis lost the family, or has other data than before.
func (o *outbox) replaced(r wire.RegisterReply) bool {
	return r.Err == nil && r.Clash == "" && r.Last <= o.newest && o.generation != "" && o.generation != r.Generation
}

// registered handles the answer to a registration, made while Redis had this lineage. anew says
// that Redis may lack the family's series: the writer then sends each of them, if only with 0.
func (o *outbox) registered(r wire.RegisterReply, lineage string) (anew bool) {
	first, same := o.generation == "", o.generation == r.Generation
	o.generation, o.had, o.unverified, o.refused, o.damaged = r.Generation, "", false, nil, false
	o.learn(r)
	o.seen = monotonicNow()
	switch {
	case r.Last > 0 || same:
		if r.Last < o.acked {
			o.rewind(r.Last)
		}
		o.lineage = lineage
		return false
	case r.Orphan:
		o.dropDoubtful()
	case first:
		return o.newest > 0 // it was registered before, then came a clash or another identity
	case lineage != o.lineage && lineage != "" && o.lineage != "" && o.keptWhole():
		// Redis stepped back to before the family's first batch.
		o.rewind(0)
		return true
	}
	o.wiped()
	return true
}

// keptWhole says whether every batch of this generation is kept.
func (o *outbox) keptWhole() bool {
	return len(o.kept) > 0 && o.kept[0].seq == o.origin+1
}

// clashed notes that another type holds the name. If the family was registered before,
// Redis lost everything that it had of it.
func (o *outbox) clashed(err error, retryAt time.Time) {
	if o.generation != "" {
		o.wiped()
	}
	o.generation, o.had, o.unverified, o.refused, o.retryAt = "", "", false, err, retryAt
}

// cloned prepares for a new identity: a batch in doubt may be that of the process's copy.
func (o *outbox) cloned() {
	o.dropDoubtful()
	if o.generation != "" {
		o.had = o.generation
	}
	o.generation = ""
	o.restart()
}

// dropDoubtful takes the batches in doubt out of the queue.
func (o *outbox) dropDoubtful() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, func(b *batch) bool {
		if b.inDoubt {
			o.lose(lostOrphan, 1)
			b.finish("", ErrLost)
		}
		return b.inDoubt
	})
}

// wiped gives up what Redis had acknowledged. Redis lost it with everything else that
// it held, and Prometheus would count it twice if it were sent again.
func (o *outbox) wiped() {
	for _, b := range o.kept {
		if b.counted() {
			o.lose(lostWiped, 1)
		}
	}
	o.restart()
}

// forgetSeries takes series that were removed out of the kept batches: after a step back,
// what was counted before the removal must not bring them back. The batches keep what the
// overflow series may have taken, since that was not removed.
func (o *outbox) forgetSeries(fields map[string]bool) {
	if len(fields) == 0 {
		return
	}
	for _, b := range o.kept {
		removed := func(op wire.Op) bool {
			return fields[op.Field] && (op.Kind == wire.OpAdd && !b.spilled || op.Kind == wire.OpLatest)
		}
		if slices.ContainsFunc(b.ops, removed) {
			b.ops = slices.DeleteFunc(slices.Clone(b.ops), removed) // another goroutine may still send the old ones
		}
	}
}

// restart begins anew when Redis has nothing of this process: what was never acknowledged
// is sent, under its old numbers.
func (o *outbox) restart() {
	o.kept, o.size = nil, 0
	o.acked, o.base = 0, o.newest
	if len(o.queue) > 0 {
		o.base = o.queue[0].seq - 1
	}
	o.origin = o.base
}

// expire forgets what has been kept or in doubt for too long.
func (o *outbox) expire(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.kept) > 0 && age(o.kept[0].acked, now) > keepFor {
		o.forget()
	}
	for len(o.queue) > 0 && o.queue[0].inDoubt && age(o.queue[0].frozen, now) > doubtfulFor {
		o.lose(lostExpired, 1)
		o.queue[0].finish("", ErrLost)
		o.base = o.queue[0].seq
		o.queue = o.queue[1:]
	}
}

// age is how long ago t was, by the wall clock or the monotonic one, whichever
// says longer: the monotonic clock stands still while the machine sleeps.
func age(t, now time.Time) time.Duration {
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// finish answers everybody who waits for the batch. An empty text means that no
// total was requested.
func (b *batch) finish(text string, err error) {
	for _, w := range b.waiters {
		w.finish(text, err)
	}
	b.waiters = nil
}

// lose counts batches that are lost, until the writer collects them.
func (o *outbox) lose(reason string, n uint64) {
	if n == 0 {
		return
	}
	if o.lost == nil {
		o.lost = map[string]int{}
	}
	o.lost[reason] += int(n)
}

// counted says whether the batch added anything. Zeros only show that a series is
// there. Deletions and values of Latest gauges are not lost when Redis is emptied: there
// is nothing to delete, and the values are set again.
func (b *batch) counted() bool {
	return slices.ContainsFunc(b.ops, func(op wire.Op) bool {
		if op.Kind != wire.OpAdd {
			return false
		}
		vector, err := wire.ParseVector(nil, op.Value)
		return err != nil || slices.ContainsFunc(vector, func(c wire.Component) bool { return c.Value != 0 })
	})
}
