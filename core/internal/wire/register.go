// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// Registration registers one family on behalf of one writer.
type Registration struct {
	Family string
	Writer string
	// Nonce is random, and new in each request. If the family has no generation, one begins,
	// named by the nonce and the store's time.
	Nonce string
	// Born is when the writer's process started, in microseconds of the store's clock. Pages
	// show the definition of the process that started last.
	Born int64
	Definition
}

// RegisterReply answers a [Registration].
type RegisterReply struct {
	// Err is set if the store gave no answer, or refused.
	Err error
	// Clash is the type in the store, if it is not the type of the registration. Nothing was
	// changed then.
	Clash string
	// Generation names this life of the family's data.
	Generation string
	// Orphan says that this generation began over values whose sequence numbers were lost:
	// the values may contain batches that were in doubt then.
	Orphan bool
	// Last is the number of the writer's newest applied batch; 0 for none, and [MaxSequence]
	// if the writer's entry is damaged.
	Last uint64
	// Epoch is the number of the family's present epoch. In each epoch, each process marks the
	// series that it holds once. Removed tells the family's last removal of series: if it
	// differs from that of an earlier reply, series have gone meanwhile.
	Epoch, Removed string
}

// pipelinedScripts bounds how many registrations go in one pipeline: Redis executes those
// that it has read one after the other, while other clients wait.
const pipelinedScripts = 256

// Register implements [Store]. It lists the families before it registers them, so that no
// family has data without being listed.
func (r *Redis) Register(ctx context.Context, regs []Registration) []RegisterReply {
	replies := make([]RegisterReply, 0, len(regs))
	for part := range slices.Chunk(regs, pipelinedScripts) {
		replies = append(replies, r.registerSome(ctx, part)...)
	}
	return replies
}

// registerSome registers what goes in one pipeline. Where all keys are on one server, the
// families are listed by its first call; elsewhere a pipeline has no order.
func (r *Redis) registerSome(ctx context.Context, regs []Registration) []RegisterReply {
	names := make([]string, len(regs))
	calls := make([]*call, len(regs))
	for i, reg := range regs {
		names[i] = reg.Family
		calls[i] = &call{
			script: registerScript,
			keys:   r.keys.family(reg.Family),
			args: []any{
				reg.Nonce, reg.Writer, reg.Born,
				reg.Type, reg.Help, reg.Mode, strings.Join(reg.Bounds, " "), reg.Retention.Milliseconds(),
			},
		}
	}
	listing := r.touchCall(names)
	if r.oneServer {
		r.run(ctx, append([]*call{listing}, calls...)...)
	} else if r.run(ctx, listing); listing.cmd.Err() == nil {
		r.run(ctx, calls...)
	}
	replies := make([]RegisterReply, len(regs))
	err := r.touched(listing)
	for i, c := range calls {
		if err != nil {
			replies[i].Err = err
			continue
		}
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
	case len(reply) == 7 && reply[0] == "OK":
		r.mended("the keys of "+family, reply[4])
		last, err := strconv.ParseUint(text(reply[3]), 10, 64)
		if err != nil {
			return RegisterReply{Err: unexpectedError{reply}}
		}
		return RegisterReply{
			Generation: text(reply[1]), Orphan: reply[2] == int64(1), Last: last,
			Epoch: text(reply[5]), Removed: text(reply[6]),
		}
	}
	return RegisterReply{Err: unexpectedError{reply}}
}

// touch lists families, or renews their scores in the list: their retention starts now.
func (r *Redis) touch(ctx context.Context, families []string) error {
	if len(families) == 0 {
		return nil
	}
	c := r.touchCall(families)
	r.run(ctx, c)
	return r.touched(c)
}

func (r *Redis) touchCall(families []string) *call {
	args := make([]any, len(families))
	for i, name := range families {
		args[i] = name
	}
	return &call{script: touchScript, keys: []string{r.keys.families()}, args: args}
}

// touched handles the answer to a touchCall.
func (r *Redis) touched(c *call) error {
	r.mended("the list of families", c.cmd.Val())
	return c.cmd.Err()
}
