// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// valuePipeline is the part of a pipeline that reads values, and then perhaps the lineage. It
// parses the replies itself: go-redis would make two allocations for each value, and one for
// each field that is not passed by a pointer, which takes a third more time.
//
// For a client without a guard, valuesReply bounds the replies while they are read.
//
// A reply that is no list of values, such as a redirection or another error, is not
// understood here: take returns its call, to be made again by readParsed, which follows or
// reports it, and makes an unknown script known.
//
// A nil *valuePipeline adds nothing to a pipeline.
type valuePipeline struct {
	s       *seriesReading
	calls   []valueCall
	behind  bool // it must be executed after the calls before it
	lineage bool // it ends with INFO replication

	cmds    []redis.Cmder // parallel to calls
	bounded []valuesReply // parallel to calls
	info    *redis.StringCmd
	failure error // of the whole pipeline
	dropped bool  // the replies count for nothing
}

// enqueue puts the commands into a pipeline.
func (p *valuePipeline) enqueue(ctx context.Context, pipe redis.Pipeliner) {
	if p == nil {
		return
	}
	s, words := p.s, 0
	for _, c := range p.calls {
		words += c.to - c.from + costOfCall // more than come before the fields
	}
	args := make([]any, 0, words)
	p.cmds, p.bounded, p.dropped = make([]redis.Cmder, len(p.calls)), make([]valuesReply, len(p.calls)), false
	for i, c := range p.calls {
		begin := len(args)
		read := s.call(c)
		streams := !s.r.Guarded && !s.r.replicas && !s.r.long.has(s.keys[c.query])
		switch {
		case streams:
			args = append(args, "hmget", s.keys[c.query])
		case read.script != nil:
			args = append(args, "evalsha", read.script.sha, read.script.keys, s.keys[c.query])
			args = append(args, read.args...)
		default:
			args = append(args, read.command, s.keys[c.query])
		}
		for f := c.from; f < c.to; f++ {
			args = append(args, s.queries[c.query].field(f))
		}
		words := args[begin:len(args):len(args)] // a hook may keep them
		if streams {
			p.bounded[i].room = s.cost(c) * costlyText
			p.cmds[i] = redis.NewRawWriteToCmd(ctx, &p.bounded[i], words...)
		} else {
			p.cmds[i] = redis.NewRawCmd(ctx, words...)
		}
		_ = pipe.Process(ctx, p.cmds[i])
	}
	if p.lineage {
		p.info = pipe.Info(ctx, "replication")
	}
}

// sent notes that the pipeline was executed, and with what error.
func (p *valuePipeline) sent(err error) {
	if p != nil {
		p.failure = err
	}
}

// precede notes that some of the calls before it are executed later.
func (p *valuePipeline) precede() {
	if p != nil {
		p.dropped = p.behind
	}
}

// err is why a call got no answer.
func (p *valuePipeline) err() error {
	for i, cmd := range p.cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
		if raw, _ := cmd.(*redis.RawCmd); (raw == nil || raw.Val() == nil) && p.bounded[i].empty() && p.failure != nil {
			return p.failure // as in send
		}
	}
	return nil
}

// take puts the values into the replies of the reading, if err is nil. It returns the calls
// whose replies are not understood here.
func (p *valuePipeline) take() (odd []valueCall, err error) {
	s := p.s
	for i, c := range p.calls {
		into := s.replies[c.query].Values
		if into == nil {
			continue // given up
		}
		var raw []byte
		if cmd, ok := p.cmds[i].(*redis.RawCmd); ok {
			raw = cmd.Val()
		}
		n, long, ok := p.bounded[i].values(into[c.from:c.to])
		if raw != nil {
			n, long, ok = parseValues(raw, into[c.from:c.to])
		}
		if !ok {
			odd = append(odd, c)
			continue
		}
		s.long[c.query] = s.long[c.query] || long
		if err := s.took(c, n, len(raw)+len(p.bounded[i].kept)); err != nil {
			return nil, err
		}
	}
	return odd, nil
}
