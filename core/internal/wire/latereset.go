// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"
	"sync"
	"time"
)

// sweepTime bounds what one call does of a removal that takes many slices, so that its caller, who
// has other things to do, waits for two round trips at most, or for this time. Then the rest follows
// with the next call.
const sweepTime = 100 * time.Millisecond

// lateResets are the Resets that have come late, and are under way: how far each is. A cursor means
// nothing to another server, or to the same one after a restart, so all are forgotten when a call
// gets no answer, and begin again. The zero value is empty. It is safe for concurrent use.
type lateResets struct {
	mu sync.Mutex
	at map[lateReset]slice // the next slice; guarded by mu
}

// lateReset is a batch with a Reset.
type lateReset struct {
	family, generation, writer string
	seq                        uint64
}

// take returns where a Reset goes on, and forgets it.
func (l *lateResets) take(which lateReset) slice {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := l.at[which]
	if !found {
		return slice{which.family, "0", ""}
	}
	delete(l.at, which)
	return at
}

func (l *lateResets) put(which lateReset, at slice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = make(map[lateReset]slice)
	}
	l.at[which] = at
}

func (l *lateResets) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.at)
}

// finishResets goes on with the Resets among batches that Redis found to be late. Batches of the
// same family behind one of them are to be sent again.
func (r *Redis) finishResets(ctx context.Context, commits []Commit, replies []CommitReply) {
	begun, waiting := time.Now(), ""
	for i := range replies {
		switch c := &commits[i]; {
		case c.Family == waiting:
			replies[i] = CommitReply{Status: CommitUnfinished}
		case replies[i].Status == CommitUnfinished:
			waiting = c.Family
			replies[i] = r.finishReset(ctx, c, begun)
		}
	}
}

// finishReset removes slice by slice what a late Reset removes. At last it sends the batch without
// the Reset, so that Redis has its number.
func (r *Redis) finishReset(ctx context.Context, c *Commit, begun time.Time) CommitReply {
	which := lateReset{c.Family, c.Generation, c.Writer, c.Seq}
	at := r.resets.take(which)
	behind := 1 + slices.IndexFunc(c.Ops, func(op Op) bool { return op.Kind == OpClear })
	removed := 0
	for first := true; first || at.cursor != "0"; first = false {
		if !first && time.Since(begun) >= sweepTime {
			r.resets.put(which, at)
			return CommitReply{Status: CommitUnfinished, Removed: removed}
		}
		var all Removed
		sent := r.idleCall(at, c.Ops[behind-1].Born, c.Generation, c.Writer, c.Prev)
		r.run(ctx, sent)
		var err error
		if at.cursor, at.epoch, err = all.add(sent); err != nil {
			return CommitReply{Err: err}
		}
		removed += all.reset
	}
	rest := *c
	rest.Ops = c.Ops[behind:]
	sent := r.commitCall(&rest)
	r.run(ctx, sent)
	reply := commitReply(&rest, sent)
	reply.Removed += removed
	if c.Totals && reply.Totals != nil {
		reply.Totals = append(make([]string, behind), reply.Totals...)
	}
	return reply
}
