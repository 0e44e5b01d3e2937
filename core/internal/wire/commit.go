// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"strconv"
)

// Commit implements [Store]. The batches travel in one pipeline as they are
// given: the caller bounds what one call may cost the server.
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
	return replies
}

func (r *Redis) commitCall(c *Commit) *call {
	const keys, head = 2, 8
	room := make([]any, lineHead+keys+head+2*len(c.Ops))
	args := room[lineHead+keys:]
	args[0], args[1] = c.Generation, c.Writer
	args[2], args[3] = c.Prev, c.Seq
	args[4], args[5] = c.Limit, c.Overflow
	args[6] = 0
	if c.Totals {
		args[6] = 1
	}
	args[7] = kinds(c.Ops)
	// A pointer to a string takes no memory of its own, as a string would.
	for i := range c.Ops {
		args[head+i], args[head+len(c.Ops)+i] = &c.Ops[i].Field, &c.Ops[i].Value
	}
	return &call{
		script: commitScript,
		keys:   []string{r.keys.control(c.Family), r.keys.values(c.Family)},
		args:   args,
		room:   room,
	}
}

// kinds tells the kinds of ops, in one letter if all are alike.
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
	damaged := CommitReply{Err: unexpectedError{reply}}
	if len(reply) == 0 {
		return damaged
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
	default:
		return damaged
	}
	if len(reply) < 2 {
		return damaged
	}
	if out.Last, err = strconv.ParseUint(text(reply[1]), 10, 64); err != nil {
		return damaged
	}
	if out.Status == CommitGap {
		return out
	}
	const head = 4
	if len(reply) < head || c.Totals && len(reply) != head+len(c.Ops) {
		return damaged
	}
	corrupt, _ := reply[2].(int64)
	overflowed, _ := reply[3].(int64)
	out.Corrupt, out.Overflowed = int(corrupt), int(overflowed)
	if c.Totals {
		out.Totals = make([]string, len(c.Ops))
		for i := range out.Totals {
			out.Totals[i] = text(reply[head+i])
		}
	}
	return out
}
