// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// outboxAt is an outbox in generation "g" with the batches from 1 to newest. Those up to acked
// are acknowledged: forgotten up to gone, and kept above. The others are in the queue.
func outboxAt(gone, acked, newest uint64) *outbox {
	o := &outbox{generation: "g"}
	for range newest {
		o.push(&batch{frozen: time.Now(), size: 10, ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}}})
	}
	for range acked {
		o.acknowledge(time.Now(), "")
	}
	for range gone {
		o.forget()
	}
	return o
}

func numbers(batches []*batch) []uint64 {
	list := []uint64{}
	for _, b := range batches {
		list = append(list, b.seq)
	}
	return list
}

// headers are the prev and seq under which the queue would be sent.
func headers(o *outbox) [][2]uint64 {
	list := [][2]uint64{}
	for i, b := range o.queue {
		list = append(list, [2]uint64{o.prev(i), b.seq})
	}
	return list
}

// outboxState is what a step is expected to leave.
type outboxState struct {
	acked       uint64
	queue, kept []uint64
	doubtful    []uint64
	lost        map[string]int
}

func (want outboxState) check(t *testing.T, o *outbox) {
	t.Helper()
	var doubtful []uint64
	for _, b := range o.queue {
		if b.inDoubt {
			doubtful = append(doubtful, b.seq)
		}
	}
	if o.acked != want.acked || !slices.Equal(numbers(o.queue), want.queue) ||
		!slices.Equal(numbers(o.kept), want.kept) || !slices.Equal(doubtful, want.doubtful) ||
		!maps.Equal(o.lost, want.lost) {
		t.Errorf("acked %d, queue %v (in doubt %v), kept %v, lost %v; want %+v",
			o.acked, numbers(o.queue), doubtful, numbers(o.kept), o.lost, want)
	}
}

// afterClash is o after another type took the name.
func afterClash(o *outbox) *outbox {
	o.clashed(errors.New("clash"), time.Now())
	o.lost = nil
	return o
}

func TestOutbox_AcknowledgedInOrderUnderConsecutiveHeaders(t *testing.T) {
	o := outboxAt(0, 0, 3)
	if got, want := headers(o), [][2]uint64{{0, 1}, {1, 2}, {2, 3}}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	o.queue[0].inDoubt = true
	if b := o.acknowledge(time.Now(), ""); b.seq != 1 || b.inDoubt {
		t.Errorf("acknowledged batch %d, in doubt %v", b.seq, b.inDoubt)
	}
	outboxState{acked: 1, queue: []uint64{2, 3}, kept: []uint64{1}}.check(t, o)
	if got, want := headers(o), [][2]uint64{{1, 2}, {2, 3}}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}

// To a gap, the store answers with the newest number that it has.
func TestOutbox_RewindsToWhatTheStoreHas(t *testing.T) {
	tests := []struct {
		name    string
		outbox  *outbox
		last    uint64
		want    outboxState
		headers [][2]uint64
	}{
		{"some of what is kept", outboxAt(0, 4, 5), 2,
			outboxState{acked: 2, queue: []uint64{3, 4, 5}, kept: []uint64{1, 2}, doubtful: []uint64{3, 4}},
			[][2]uint64{{2, 3}, {3, 4}, {4, 5}}},
		{"all, to nothing", outboxAt(0, 2, 2), 0,
			outboxState{queue: []uint64{1, 2}, kept: []uint64{}, doubtful: []uint64{1, 2}},
			[][2]uint64{{0, 1}, {1, 2}}},
		{"a hole before the oldest kept is counted and jumped over", outboxAt(3, 5, 5), 1,
			outboxState{acked: 1, queue: []uint64{4, 5}, kept: []uint64{}, doubtful: []uint64{4, 5}, lost: map[string]int{lostRollback: 2}},
			[][2]uint64{{1, 4}, {4, 5}}},
		{"nothing is kept", outboxAt(5, 5, 6), 1,
			outboxState{acked: 1, queue: []uint64{6}, kept: []uint64{}, lost: map[string]int{lostRollback: 4}},
			[][2]uint64{{1, 6}}},
		{"nothing is kept or queued", outboxAt(5, 5, 5), 1,
			outboxState{acked: 1, queue: []uint64{}, kept: []uint64{}, lost: map[string]int{lostRollback: 4}},
			[][2]uint64{}},
		{"the store has more than was acknowledged", outboxAt(0, 1, 4), 3,
			outboxState{acked: 3, queue: []uint64{2, 3, 4}, kept: []uint64{1}},
			[][2]uint64{{3, 2}, {3, 3}, {3, 4}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.outbox.rewind(tt.last)
			tt.want.check(t, tt.outbox)
			if got := headers(tt.outbox); !slices.Equal(got, tt.headers) {
				t.Errorf("headers %v, want %v", got, tt.headers)
			}
		})
	}
}

func TestOutbox_AHoleIsCountedOnce(t *testing.T) {
	o := outboxAt(3, 5, 5)
	o.rewind(1)
	o.rewind(1)
	outboxState{acked: 1, queue: []uint64{4, 5}, kept: []uint64{}, doubtful: []uint64{4, 5}, lost: map[string]int{lostRollback: 2}}.check(t, o)
}

func TestOutbox_Registered(t *testing.T) {
	doubt := func(o *outbox, seqs ...uint64) *outbox {
		for _, b := range o.queue {
			b.inDoubt = slices.Contains(seqs, b.seq)
		}
		return o
	}
	in := func(lineage string, o *outbox) *outbox {
		o.lineage = lineage
		return o
	}
	tests := []struct {
		name   string
		outbox *outbox
		reply  wire.RegisterReply
		anew   bool
		want   outboxState
		first  [2]uint64 // header of the next batch
	}{
		{"gone with the lineage, and all is kept: all is sent", in("old", outboxAt(0, 2, 3)), wire.RegisterReply{Generation: "h"}, true,
			outboxState{queue: []uint64{1, 2, 3}, doubtful: []uint64{1, 2}}, [2]uint64{0, 1}},
		{"gone with the lineage, and not all is kept", in("old", outboxAt(1, 2, 3)), wire.RegisterReply{Generation: "h"}, true,
			outboxState{queue: []uint64{3}, lost: map[string]int{lostWiped: 1}}, [2]uint64{0, 3}},
		{"gone in the same lineage", in("new", outboxAt(0, 2, 3)), wire.RegisterReply{Generation: "h"}, true,
			outboxState{queue: []uint64{3}, lost: map[string]int{lostWiped: 2}}, [2]uint64{0, 3}},
		{"an orphan of another lineage", in("old", outboxAt(0, 2, 3)), wire.RegisterReply{Generation: "h", Orphan: true}, true,
			outboxState{queue: []uint64{3}, lost: map[string]int{lostWiped: 2}}, [2]uint64{0, 3}},
		{"for the first time", &outbox{}, wire.RegisterReply{Generation: "g"}, false,
			outboxState{}, [2]uint64{0, 1}},
		{"the same generation, the same number", outboxAt(0, 2, 3), wire.RegisterReply{Generation: "g", Last: 2}, false,
			outboxState{acked: 2, queue: []uint64{3}, kept: []uint64{1, 2}}, [2]uint64{2, 3}},
		{"the same generation, stepped back", outboxAt(0, 2, 3), wire.RegisterReply{Generation: "g", Last: 1}, false,
			outboxState{acked: 1, queue: []uint64{2, 3}, kept: []uint64{1}, doubtful: []uint64{2}}, [2]uint64{1, 2}},
		{"the same generation, stepped back to nothing", outboxAt(0, 2, 2), wire.RegisterReply{Generation: "g"}, false,
			outboxState{queue: []uint64{1, 2}, doubtful: []uint64{1, 2}}, [2]uint64{0, 1}},
		{"another generation that knows us", outboxAt(0, 2, 3), wire.RegisterReply{Generation: "h", Last: 1, Orphan: true}, false,
			outboxState{acked: 1, queue: []uint64{2, 3}, kept: []uint64{1}, doubtful: []uint64{2}}, [2]uint64{1, 2}},
		{"the one in doubt was applied", doubt(outboxAt(0, 2, 3), 3), wire.RegisterReply{Generation: "g", Last: 3}, false,
			outboxState{acked: 2, queue: []uint64{3}, kept: []uint64{1, 2}, doubtful: []uint64{3}}, [2]uint64{2, 3}},
		{"an orphan: those in doubt are dropped, the others sent", doubt(outboxAt(0, 2, 5), 3, 4), wire.RegisterReply{Generation: "h", Orphan: true}, true,
			outboxState{queue: []uint64{5}, lost: map[string]int{lostOrphan: 2, lostWiped: 2}}, [2]uint64{0, 5}},
		{"an orphan, nothing in doubt", outboxAt(1, 2, 3), wire.RegisterReply{Generation: "h", Orphan: true}, true,
			outboxState{queue: []uint64{3}, lost: map[string]int{lostWiped: 1}}, [2]uint64{0, 3}},
		{"an orphan after a clash: those in doubt are dropped too", afterClash(doubt(outboxAt(0, 2, 4), 3)), wire.RegisterReply{Generation: "h", Orphan: true}, true,
			outboxState{queue: []uint64{4}, lost: map[string]int{lostOrphan: 1}}, [2]uint64{0, 4}},
		{"wiped: what was never acknowledged is sent", doubt(outboxAt(0, 2, 4), 3), wire.RegisterReply{Generation: "h"}, true,
			outboxState{queue: []uint64{3, 4}, doubtful: []uint64{3}, lost: map[string]int{lostWiped: 2}}, [2]uint64{0, 3}},
		{"wiped, nothing left to send", outboxAt(0, 2, 2), wire.RegisterReply{Generation: "h"}, true,
			outboxState{lost: map[string]int{lostWiped: 2}}, [2]uint64{0, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.outbox
			o.unverified, o.refused = true, errors.New("clash")
			if anew := o.registered(tt.reply, "new"); anew != tt.anew {
				t.Errorf("data anew: %v, want %v", anew, tt.anew)
			}
			if o.generation != tt.reply.Generation || o.unverified || o.refused != nil {
				t.Errorf("generation %q, unverified %v, refused %v", o.generation, o.unverified, o.refused)
			}
			tt.want.check(t, o)
			if len(o.queue) == 0 {
				o.push(&batch{})
			}
			if got := headers(o)[0]; got != tt.first {
				t.Errorf("next header %v, want %v", got, tt.first)
			}
		})
	}
}

// After a wipe the store needs no batches from before it, so a gap that a second fault
// causes must not count these as lost.
func TestOutbox_NumbersFromBeforeAWipeAreNoHole(t *testing.T) {
	o := outboxAt(0, 3, 4)
	o.registered(wire.RegisterReply{Generation: "h"}, "")
	o.lost = nil
	o.acknowledge(time.Now(), "")
	o.rewind(0)
	outboxState{queue: []uint64{4}, kept: []uint64{}, doubtful: []uint64{4}}.check(t, o)
}

func TestOutbox_WaitersOfDroppedBatchesAreTold(t *testing.T) {
	o := outboxAt(0, 0, 2)
	w := &waiter{done: make(chan outcome, 1)}
	o.queue[0].inDoubt, o.queue[0].waiters = true, []*waiter{w}
	o.registered(wire.RegisterReply{Generation: "h", Orphan: true}, "")
	if got := <-w.done; !errors.Is(got.err, ErrLost) {
		t.Errorf("the waiter is told %v, want ErrLost", got.err)
	}
}

func TestOutbox_ForgetsWithTime(t *testing.T) {
	now := time.Now()
	o := outboxAt(0, 3, 6)
	o.kept[0].acked = now.Add(-keepFor - 1)
	o.kept[1].acked = now.Add(-keepFor + 1)
	w := &waiter{done: make(chan outcome, 1)}
	for i, b := range o.queue {
		b.frozen = now.Add(-doubtfulFor - 1)
		b.inDoubt = i == 0
	}
	o.queue[0].waiters = []*waiter{w}
	if o.expire(now); o.size != 20 {
		t.Errorf("keeps %d bytes, want 20", o.size)
	}
	// 5 and 6 are old too, but not in doubt: they are still sent.
	outboxState{acked: 3, queue: []uint64{5, 6}, kept: []uint64{2, 3}, lost: map[string]int{lostExpired: 1}}.check(t, o)
	if got := <-w.done; !errors.Is(got.err, ErrLost) {
		t.Errorf("the waiter is told %v, want ErrLost", got.err)
	}
	if got := headers(o)[0]; got != [2]uint64{3, 5} {
		t.Errorf("next header %v", got)
	}
	o.rewind(4) // 4 had been applied after all
	outboxState{acked: 4, queue: []uint64{5, 6}, kept: []uint64{2, 3}, lost: map[string]int{lostExpired: 1}}.check(t, o)
}

func TestAge_IsTheLargerOfBothClocks(t *testing.T) {
	then := time.Now()
	now := then.Add(time.Minute)
	if got := age(then, now); got != time.Minute {
		t.Errorf("%v, want 1m", got)
	}
	// A time without the monotonic clock, as when that stood still while the machine slept.
	if got := age(then.Round(0).Add(-time.Hour), now); got != time.Hour+time.Minute {
		t.Errorf("%v, want 1h1m", got)
	}
}
