// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// SeriesQuery asks for the values of some fields of a family.
type SeriesQuery struct {
	Family string
	Fields []string
	// Texts is how many bytes the values had the last time, by which the reading is divided
	// into calls.
	Texts int
}

// SeriesReply runs parallel to the Fields of its [SeriesQuery].
type SeriesReply struct {
	Err    error // of this family alone
	Values []SeriesValue
	Texts  int // how many bytes the values have
}

// SeriesValue is the stored text of one series, if Found.
type SeriesValue struct {
	Text  string
	Found bool
}

// Series is one stored series, or one gauge of a writer.
type Series struct {
	Field string
	Text  string
}

// What one round trip for values may cost the server; see scan.go.
const (
	fieldsPerCall    = 500                           // of HMGET, which takes 0.1 to 0.2 ms
	callsPerPipeline = 16                            // of that size
	costOfCall       = 20                            // in fields: the cost of a call without any
	costlyText       = bytesPerReply / fieldsPerCall // in bytes: a longer text costs more than one field
)

// valueCall reads a slice of a query's fields.
type valueCall struct {
	query    int // its place in queries
	from, to int // the slice of its fields
}

// seriesReading is one ReadSeries or one ReadStarts.
type seriesReading struct {
	r       *Redis
	queries []SeriesQuery
	replies []SeriesReply
	keys    []string    // parallel to queries
	long    []bool      // whether a text was met that is too long; parallel to queries
	average []int       // bytes of a value, as far as is known; parallel to queries
	left    []valueCall // still to be sent
	room    int         // in bytes
}

// ReadSeries implements [Store].
func (r *Redis) ReadSeries(ctx context.Context, queries []SeriesQuery, room int) (replies []SeriesReply, lineage string, err error) {
	s := r.newSeriesReading(queries, r.keys.values, room)
	info, err := s.readAll(ctx, r.oneServer)
	if err != nil {
		return nil, "", err
	}
	if info != nil {
		lineage, err = lineageOf([]string{info.Val()}, info.Err())
	} else {
		lineage, err = r.Lineage(ctx)
	}
	return s.replies, lineage, err
}

// newSeriesReading prepares to read queries from the hashes that key names.
func (r *Redis) newSeriesReading(queries []SeriesQuery, key func(family string) string, room int) *seriesReading {
	s := &seriesReading{
		r: r, queries: queries, replies: make([]SeriesReply, len(queries)),
		keys: make([]string, len(queries)), long: make([]bool, len(queries)), average: make([]int, len(queries)), room: room,
	}
	for q, query := range queries {
		s.keys[q] = key(query.Family)
		s.replies[q].Values = make([]SeriesValue, len(query.Fields))
		s.average[q] = query.Texts / max(1, len(query.Fields))
		s.cut(valueCall{q, 0, len(query.Fields)})
	}
	return s
}

// readAll makes the calls, in as many pipelines as they need. If lineage is set, the last
// pipeline asks for the lineage as well, unless it goes through readParsed; then info is nil.
func (s *seriesReading) readAll(ctx context.Context, lineage bool) (info *redis.StringCmd, err error) {
	for len(s.left) > 0 {
		n, cost := 0, 0
		for n < len(s.left) {
			c := s.cost(s.left[n])
			if n > 0 && cost+c > callsPerPipeline*fieldsPerCall {
				break
			}
			cost += c
			n++
		}
		calls := s.left[:n]
		s.left = s.left[n:]
		if s.r.usually() == always {
			err = s.readParsed(ctx, calls)
		} else {
			info, err = s.readRaw(ctx, calls, lineage && len(s.left) == 0)
		}
		if err != nil {
			return nil, err
		}
	}
	for q, key := range s.keys {
		s.r.long.note(key, s.long[q])
	}
	return info, nil
}

// cost is what a call costs, in fields.
func (s *seriesReading) cost(c valueCall) int {
	fields := c.to - c.from
	return max(fields, fields*s.average[c.query]/costlyText) + costOfCall
}

// call prepares a call. The server ends the reply when it costs more than expected.
func (s *seriesReading) call(c valueCall, args ...any) *call {
	return s.r.reading(s.cost(c)*costlyText, "hmget", s.keys[c.query], args...)
}

// cut divides a slice into calls.
func (s *seriesReading) cut(c valueCall) {
	size := min(fieldsPerCall, max(1, bytesPerReply/(s.average[c.query]+1)))
	for part := range chunks(c.to-c.from, size) {
		s.left = append(s.left, valueCall{c.query, c.from + part.from, c.from + part.to})
	}
}

// took notes that a call was answered with its first n values, which have so many bytes. It
// asks for the rest in smaller calls. A family that takes more than half of the room is given
// up.
func (s *seriesReading) took(c valueCall, n, bytes int) error {
	reply := &s.replies[c.query]
	if n == 0 && c.to > c.from {
		return unexpectedError{"no values"}
	}
	if reply.Err != nil {
		return nil // given up before
	}
	s.room -= bytes
	reply.Texts += bytes
	if reply.Texts > s.room { // more than half of what was left before this family
		s.room += reply.Texts
		*reply = SeriesReply{Err: ErrTooLarge}
		s.left = slices.DeleteFunc(s.left, func(other valueCall) bool { return other.query == c.query })
		return nil
	}
	if n < c.to-c.from {
		s.average[c.query] = bytes / n
		s.cut(valueCall{c.query, c.from + n, c.to})
	}
	return nil
}

// readRaw reads in one pipeline, and parses the replies itself: go-redis would make two
// allocations for each value, and one for each field that is not passed by a pointer, which
// takes a third more time.
//
// For a client without a guard, valuesReply bounds the replies while they are read.
//
// A reply that is no list of values, such as a redirection or another error, is not
// understood here. Its call is made again by readParsed, which follows or reports it, and
// makes an unknown script known.
//
// If lineage is set, the pipeline ends with INFO replication.
func (s *seriesReading) readRaw(ctx context.Context, calls []valueCall, lineage bool) (info *redis.StringCmd, err error) {
	words := 0
	for _, c := range calls {
		words += c.to - c.from + costOfCall // more than come before the fields
	}
	args := make([]any, 0, words)
	cmds := make([]redis.Cmder, len(calls))
	bounded := make([]valuesReply, len(calls))
	pipe := s.r.client.Pipeline()
	for i, c := range calls {
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
		fields := s.queries[c.query].Fields
		for f := c.from; f < c.to; f++ {
			args = append(args, &fields[f])
		}
		words := args[begin:len(args):len(args)] // a hook may keep them
		if streams {
			bounded[i].room = s.cost(c) * costlyText
			cmds[i] = redis.NewRawWriteToCmd(ctx, &bounded[i], words...)
		} else {
			cmds[i] = redis.NewRawCmd(ctx, words...)
		}
		_ = pipe.Process(ctx, cmds[i])
	}
	if lineage {
		info = pipe.Info(ctx, "replication")
	}
	_, errExec := pipe.Exec(ctx)
	var again []valueCall
	for i, c := range calls {
		var raw []byte
		if cmd, ok := cmds[i].(*redis.RawCmd); ok {
			raw = cmd.Val()
		}
		err := cmds[i].Err()
		if err == nil && raw == nil && bounded[i].empty() {
			err = errExec // as in send
		}
		if err != nil {
			s.r.reloadAfter(ctx, err)
			return nil, s.r.explain(err, nil)
		}
		into := s.replies[c.query].Values
		if into == nil {
			continue // given up
		}
		n, long, ok := bounded[i].values(into[c.from:c.to])
		if raw != nil {
			n, long, ok = parseValues(raw, into[c.from:c.to])
		}
		if !ok {
			again = append(again, c)
			continue
		}
		s.long[c.query] = s.long[c.query] || long
		if err := s.took(c, n, len(raw)+len(bounded[i].kept)); err != nil {
			return nil, err
		}
	}
	if len(again) > 0 {
		return nil, s.readParsed(ctx, again)
	}
	if len(s.left) > 0 { // a reply was not complete
		info = nil
	}
	return info, nil
}

// readParsed reads in one pipeline by ordinary calls.
func (s *seriesReading) readParsed(ctx context.Context, parts []valueCall) error {
	calls := make([]*call, len(parts))
	for i, c := range parts {
		args := make([]any, 0, fieldsPerCall)
		for _, field := range s.queries[c.query].Fields[c.from:c.to] {
			args = append(args, field)
		}
		calls[i] = s.call(c, args...)
	}
	s.r.run(ctx, calls...)
	for i, c := range parts {
		values, err := calls[i].cmd.Slice()
		reply := &s.replies[c.query]
		switch {
		case isReply(err, "WRONGTYPE"):
			*reply = SeriesReply{Err: err}
		case err != nil:
			return err
		case len(values) > c.to-c.from:
			return unexpectedError{values}
		case reply.Values == nil: // given up
		default:
			bytes := 0
			for n, v := range values {
				text, found := v.(string)
				reply.Values[c.from+n] = SeriesValue{Text: text, Found: found}
				bytes += len(text)
				s.long[c.query] = s.long[c.query] || text == Overlong
			}
			if err := s.took(c, len(values), bytes); err != nil {
				return err
			}
		}
	}
	return nil
}
