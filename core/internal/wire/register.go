// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// errReply is for a reply that no script of ours gives: another version of the
// protocol, or something between us and the server.
var errReply = errors.New("shoal: unexpected reply of the store")

// pipelinedScripts bounds how many scripts of the light kind travel together:
// those that Redis takes in with one piece of a connection's requests run back
// to back, and other clients wait.
const pipelinedScripts = 256

// Register implements [Store]. The families are listed before they are
// registered, so that none has data and is on no list.
func (r *Redis) Register(ctx context.Context, regs []Registration) []RegisterReply {
	replies := make([]RegisterReply, len(regs))
	names := make([]string, len(regs))
	calls := make([]*call, len(regs))
	for i, reg := range regs {
		names[i] = reg.Family
		calls[i] = &call{
			script: registerScript,
			keys:   []string{r.keys.control(reg.Family), r.keys.values(reg.Family)},
			args: []any{
				reg.Nonce, reg.Writer, reg.Born,
				reg.Type, reg.Help, reg.Mode, strings.Join(reg.Bounds, " "),
			},
		}
	}
	if err := r.Touch(ctx, names); err != nil {
		for i := range replies {
			replies[i].Err = err
		}
		return replies
	}
	for part := range chunks(len(calls), pipelinedScripts) {
		r.run(ctx, calls[part.from:part.to]...)
	}
	for i, c := range calls {
		replies[i] = r.registerReply(regs[i].Family, c)
	}
	return replies
}

func (r *Redis) registerReply(family string, c *call) RegisterReply {
	reply, err := c.cmd.Slice()
	if err != nil {
		return RegisterReply{Err: err}
	}
	switch {
	case len(reply) == 2 && reply[0] == "CLASH":
		return RegisterReply{Clash: text(reply[1])}
	case len(reply) == 5 && reply[0] == "OK":
		r.mended("the keys of "+family, reply[4])
		last, err := strconv.ParseUint(text(reply[3]), 10, 64)
		if err != nil {
			return RegisterReply{Err: unexpectedError{reply}}
		}
		return RegisterReply{Generation: text(reply[1]), Orphan: reply[2] == int64(1), Last: last}
	}
	return RegisterReply{Err: unexpectedError{reply}}
}

// Touch implements [Store].
func (r *Redis) Touch(ctx context.Context, families []string) error {
	if len(families) == 0 {
		return nil
	}
	args := make([]any, len(families))
	for i, name := range families {
		args[i] = name
	}
	c := &call{script: touchScript, keys: []string{r.keys.families()}, args: args}
	r.run(ctx, c)
	r.mended("the list of families", c.cmd.Val())
	return c.cmd.Err()
}

// mended tells of what a script has replaced: reply is how much, if it replied.
func (r *Redis) mended(where string, reply any) {
	if n, _ := reply.(int64); n > 0 && r.Mended != nil {
		r.Mended(where, int(n))
	}
}

// text gives a string of a reply, and "" for anything else.
func text(v any) string {
	s, _ := v.(string)
	return s
}

type span struct{ from, to int }

// chunks cuts n things into spans of at most size.
func chunks(n, size int) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		for from := 0; from < n; from += size {
			if !yield(span{from, min(from+size, n)}) {
				return
			}
		}
	}
}
