// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Bounds on what an outbox keeps; see docs/protocol.md.
const (
	keepFor     = 10 * time.Minute // acknowledged batches, for a store that steps back
	keepBytes   = 4 << 20          // of them, over all families
	doubtfulFor = 24 * time.Hour   // batches that nobody can tell were applied
	batchWeight = 256              // scalars a batch: each blocks Redis below 1 ms
	batchBytes  = 128 << 10

	histogramWeight = 8 // scalars that a histogram's commit costs
	summaryWeight   = 3
)

// batch is a frozen step of a family: its ops never change, so that it can be
// sent again until it is acknowledged.
type batch struct {
	seq      uint64
	ops      []wire.Op
	overflow string    // the field for what exceeds the cap; that of all the ops
	size     int       // bytes, about
	weight   int       // scalars that it costs
	frozen   time.Time // when the ops were gathered
	acked    time.Time
	inDoubt  bool // sent, and the answer is missing
	waiters  []*waiter
}

// outbox is one family's side of the commit protocol: what was frozen and not
// acknowledged, and what was acknowledged and is kept in case the store steps
// back. It does no I/O and belongs to the writer goroutine. The states and the
// answers to them are those of docs/protocol.md.
type outbox struct {
	generation string
	had        string    // the generation that another identity of this process had, until it registers
	unverified bool      // register again before the next commit
	damaged    bool      // a stranger's keys are in its place: no page shows it
	refused    error     // set while another type holds the name
	retryAt    time.Time // when to ask for the name again

	acked  uint64   // the newest number that the store is believed to have
	newest uint64   // the newest number ever given
	base   uint64   // numbers up to here are not expected in this generation
	origin uint64   // the last number before this generation's first batch
	queue  []*batch // not acknowledged, in order
	kept   []*batch // acknowledged, in order
	size   int      // bytes in kept
	// lineage is the store's as it was known when it last said what it has:
	// acknowledged a batch, or registered the family. If everything is gone in
	// the same one, it was wiped.
	lineage string

	lost map[string]int // batches by reason, since last collected
}

// push freezes ops, giving the batch the next number.
func (o *outbox) push(b *batch) {
	o.newest++
	b.seq = o.newest
	o.queue = append(o.queue, b)
}

// prev is the number that the store must have before the i-th queued batch.
func (o *outbox) prev(i int) uint64 {
	if i == 0 {
		return o.acked
	}
	return max(o.acked, o.queue[i-1].seq)
}

// acknowledge moves the oldest queued batch to the kept ones.
func (o *outbox) acknowledge(now time.Time, lineage string) *batch {
	b := o.queue[0]
	o.queue = o.queue[1:]
	o.lineage = lineage
	b.acked, b.inDoubt = now, false
	o.acked = max(o.acked, b.seq)
	o.kept = append(o.kept, b)
	o.size += b.size
	return b
}

// forget drops the oldest kept batch.
func (o *outbox) forget() {
	o.size -= o.kept[0].size
	o.kept[0] = nil
	o.kept = o.kept[1:]
}

// rewind goes back to the number that the store has: what is kept above it
// returns to the queue. A hole before the oldest of it is lost and jumped over.
func (o *outbox) rewind(last uint64) {
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
		next = o.queue[0].seq // at or below last it will turn out a duplicate
	}
	if next > from+1 {
		o.lose(lostRollback, next-from-1)
		o.base = next - 1
	}
	o.acked = last
}

// fullyAcked says that the store is known to have all that it had acknowledged,
// and all that it may have shown to somebody without an acknowledgement.
func (o *outbox) fullyAcked() bool {
	return o.generation == "" || o.damaged ||
		!o.unverified && !slices.ContainsFunc(o.queue, func(b *batch) bool { return b.inDoubt })
}

// replaced says whether the answer to a registration is of another generation than
// the one that was known: the family was lost, or the store's data is another.
func (o *outbox) replaced(r wire.RegisterReply) bool {
	return r.Err == nil && r.Clash == "" && r.Last <= o.newest && o.generation != "" && o.generation != r.Generation
}

// registered takes in the answer to a registration, made while the store had this lineage. It
// returns whether the store's data is another than before, so that what is
// known should be shown anew.
func (o *outbox) registered(r wire.RegisterReply, lineage string) (anew bool) {
	first, same := o.generation == "", o.generation == r.Generation
	o.generation, o.had, o.unverified, o.refused, o.damaged = r.Generation, "", false, nil, false
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
		return o.newest > 0 // a clash or a clone came between
	case lineage != o.lineage && lineage != "" && o.lineage != "" && o.keptWhole():
		// It went back to before the family's first batch.
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

// clashed notes that another type holds the name. If it was ours, everything
// that the store had of it is gone.
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
	o.queue = slices.DeleteFunc(o.queue, func(b *batch) bool {
		if b.inDoubt {
			o.lose(lostOrphan, 1)
			b.finish("", ErrLost)
		}
		return b.inDoubt
	})
}

// wiped gives up what Redis had acknowledged: it is gone with everything else
// that it held, and sent again, Prometheus would count it twice.
func (o *outbox) wiped() {
	for _, b := range o.kept {
		if b.counted() {
			o.lose(lostWiped, 1)
		}
	}
	o.restart()
}

// restart begins anew in a store that has nothing of ours: what was never
// acknowledged is sent, under its old numbers.
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
// says longer: a machine that slept has a monotonic clock that stood still.
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
