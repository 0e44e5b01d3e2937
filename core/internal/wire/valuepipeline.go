// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"

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
	bounded []valuesReply // parallel to calls; nil where the guard bounds the replies
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
	p.cmds, p.bounded, p.dropped = make([]redis.Cmder, len(p.calls)), nil, false
	if !s.r.Guarded {
		p.bounded = make([]valuesReply, len(p.calls))
	}
	for i, c := range p.calls {
		begin := len(args)
		scripted := s.r.replicas || s.r.long.has(s.keys[c.query]) || !s.r.Guarded && c.query < s.strict
		streams := !s.r.Guarded && !scripted
		if scripted {
			read := s.call(c)
			args = append(args, "evalsha", read.script.sha, read.script.keys, s.keys[c.query])
			args = append(args, read.args...)
		} else {
			args = append(args, "hmget", s.keys[c.query]) // a Cluster's client looks at it
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

// sent notes that the pipeline was executed, with what error, and how long that took.
func (p *valuePipeline) sent(err error, took time.Duration) {
	if p == nil {
		return
	}
	p.failure = err
	bytes := 0
	for _, c := range p.calls {
		bytes += c.bytes
	}
	p.s.r.pace.took(bytes, took, p.err())
}

// overtook notes that some of the calls before it were not executed, and are sent again behind it.
func (p *valuePipeline) overtook() {
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
		if raw, ok := cmd.(*redis.RawCmd); p.failure != nil && (ok && raw.Val() == nil || !ok && p.bounded[i].empty()) {
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
		var n, bytes int
		var long, ok bool
		if cmd, raw := p.cmds[i].(*redis.RawCmd); raw {
			bytes = len(cmd.Val())
			n, long, ok = parseValues(cmd.Val(), into[c.from:c.to])
		} else {
			bytes = len(p.bounded[i].kept)
			n, long, ok = p.bounded[i].values(into[c.from:c.to])
		}
		if !ok {
			odd = append(odd, c)
			continue
		}
		s.long[c.query] = s.long[c.query] || long
		if err := s.took(c, n, bytes); err != nil {
			return nil, err
		}
	}
	return odd, nil
}
