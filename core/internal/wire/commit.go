// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// OpKind is one of the four things that a batch can do to a series.
type OpKind byte

const (
	// OpAdd adds the sparse vector Value to the series, created if absent.
	OpAdd OpKind = '+'
	// OpLatest stores Value, "number stamp deadline", unless a newer stamp is stored. Times
	// are in microseconds of the store's clock; deadline 0 is none. Beyond the cap it
	// is dropped.
	OpLatest OpKind = '='
	// OpDelete removes the series.
	OpDelete OpKind = '-'
	// OpClear removes all series of the family.
	OpClear OpKind = '*'
)

// Op is one step of a batch. A batch names each field at most once. No Value has a comma.
type Op struct {
	Kind  OpKind
	Field string // see EncodeField; unused by OpClear
	Value string
	// Born is since when the writer holds the series, in microseconds of the store's clock; 0
	// if an earlier batch has told it. A Born marks the series as held. If it is earlier than
	// the start of the series, the start moves back to it.
	//
	// Of a deletion, Born is when that was asked for. A deletion that arrives more than 10 s
	// later spares the series that began more than a second after it was asked for.
	Born int64
}

// Commit is one batch. Its Ops never change once it was sent; the rest, its header, may
// change between two attempts to send it.
type Commit struct {
	Family     string
	Generation string
	Writer     string
	Prev       uint64 // the number that the store should have for the writer
	Seq        uint64
	// Limit is the cap of the family's series, over all processes; 0 is no cap. Overflow is
	// the field that takes what would go to a series beyond it.
	Limit    int
	Overflow string
	// Totals asks for the values of the batch's series after it.
	Totals bool
	// Again says that the batch was sent before, and the store may have had it: series that it
	// brings back may have begun before the family's last removal.
	Again bool
	Ops   []Op
}

// CommitStatus is the store's answer to a batch.
type CommitStatus byte

const (
	// CommitOK: applied now.
	CommitOK CommitStatus = iota + 1
	// CommitDuplicate: it was applied before. Last is the writer's newest number. It is
	// [MaxSequence] if the writer's entry is damaged: then nothing was done.
	CommitDuplicate
	// CommitGap: the writer's newest number is Last, not Prev. Nothing was done.
	CommitGap
	// CommitUnknown: the family has another generation. Nothing was done.
	CommitUnknown
	// CommitUnfinished: a Reset in the batch came late, and is under way; or such a batch is before
	// it. It is not applied yet: send it again at once.
	CommitUnfinished
)

// CommitReply answers a [Commit].
type CommitReply struct {
	// Err is set if there is no status. [Refused] tells whether the batch was not applied, or
	// is in doubt.
	Err    error
	Status CommitStatus
	Last   uint64
	// Corrupt counts stored texts that were damaged and were replaced.
	Corrupt int
	// Overflowed counts ops whose series found no room under the cap: an OpAdd went to the
	// overflow series, an OpLatest was dropped.
	Overflowed int
	// Removed counts series that the batch removed with this call.
	Removed int
	// Totals, if asked for, runs parallel to Ops: the stored text of the series that took
	// the op. After a duplicate it is the text as it is now.
	Totals []string
}

// Commit implements [Store]. The batches go in one pipeline: the caller bounds what one call
// costs the server. A Reset that comes late takes further calls.
func (r *Redis) Commit(ctx context.Context, commits []Commit) []CommitReply {
	replies := make([]CommitReply, len(commits))
	calls := make([]*call, len(commits))
	for i := range commits {
		calls[i] = r.commitCall(&commits[i])
	}
	r.run(ctx, calls...)
	for i := range calls {
		replies[i] = commitReply(&commits[i], calls[i])
	}
	r.finishResets(ctx, commits, replies)
	return replies
}

func (r *Redis) commitCall(c *Commit) *call {
	const keys, head = 3, 11
	room := make([]any, lineHead+keys+head+len(c.Ops))
	args := room[lineHead+keys:]
	args[0], args[1] = c.Generation, c.Writer
	args[2], args[3] = c.Prev, c.Seq
	args[4], args[5] = c.Limit, c.Overflow
	args[6], args[7] = flag(c.Totals), kinds(c.Ops)
	args[8], args[9] = births(c.Ops), flag(c.Again)
	args[10] = values(c.Ops)
	// A pointer to a string goes into an interface without an allocation.
	for i := range c.Ops {
		args[head+i] = &c.Ops[i].Field
	}
	return &call{
		script: commitScript,
		keys:   r.keys.family(c.Family),
		args:   args,
		room:   room,
	}
}

// values returns the values of ops with commas between: one argument costs Redis and the client less
// than one for each value.
func values(ops []Op) string {
	size := len(ops)
	for i := range ops {
		size += len(ops[i].Value)
	}
	var all strings.Builder
	all.Grow(size)
	for i := range ops {
		if i > 0 {
			all.WriteByte(',')
		}
		all.WriteString(ops[i].Value)
	}
	return all.String()
}

// births returns the births of ops in the same way, or nothing if there are none.
func births(ops []Op) string {
	if !slices.ContainsFunc(ops, func(op Op) bool { return op.Born > 0 }) {
		return ""
	}
	var all []byte
	for i := range ops {
		if i > 0 {
			all = append(all, ',')
		}
		all = strconv.AppendInt(all, ops[i].Born, 10)
	}
	return string(all)
}

// kinds returns the letters of the ops' kinds; one letter if all are alike.
func kinds(ops []Op) string {
	alike := true
	for i := range ops {
		alike = alike && ops[i].Kind == ops[0].Kind
	}
	switch {
	case len(ops) == 0:
		return ""
	case alike:
		return string(rune(ops[0].Kind))
	}
	all := make([]byte, len(ops))
	for i := range ops {
		all[i] = byte(ops[i].Kind)
	}
	return string(all)
}

func commitReply(c *Commit, sent *call) CommitReply {
	reply, err := sent.cmd.Slice()
	if err != nil {
		return CommitReply{Err: err}
	}
	unexpected := CommitReply{Err: unexpectedError{reply}}
	if len(reply) == 0 {
		return unexpected
	}
	var out CommitReply
	switch reply[0] {
	case "OK":
		out.Status = CommitOK
	case "DUP":
		out.Status = CommitDuplicate
	case "GAP":
		out.Status = CommitGap
	case "UNKNOWN":
		return CommitReply{Status: CommitUnknown}
	case "LATE":
		return CommitReply{Status: CommitUnfinished}
	default:
		return unexpected
	}
	if len(reply) < 2 {
		return unexpected
	}
	if out.Last, err = strconv.ParseUint(text(reply[1]), 10, 64); err != nil {
		return unexpected
	}
	if out.Status == CommitGap {
		return out
	}
	const head = 5
	if len(reply) < head || c.Totals && len(reply) != head+len(c.Ops) {
		return unexpected
	}
	corrupt, _ := reply[2].(int64)
	overflowed, _ := reply[3].(int64)
	removed, _ := reply[4].(int64)
	out.Corrupt, out.Overflowed, out.Removed = int(corrupt), int(overflowed), int(removed)
	if c.Totals {
		out.Totals = make([]string, len(c.Ops))
		for i := range out.Totals {
			out.Totals[i] = text(reply[head+i])
		}
	}
	return out
}
