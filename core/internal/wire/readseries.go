// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// SeriesQuery asks for the values of some fields of a family.
type SeriesQuery struct {
	Family string
	// Generation, if not empty, is what the family must still have behind the last value.
	Generation string
	Fields     []string
	// Texts is how many bytes the values had the last time, by which the reading is divided
	// into calls.
	Texts int
}

// SeriesReply runs parallel to the Fields of its [SeriesQuery].
type SeriesReply struct {
	// Err is of this family alone. It is [ErrGeneration] if the family has not the generation
	// that the query names.
	Err    error
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
	fieldsPerCall     = 500                           // of HMGET, which takes 0.1 to 0.2 ms
	fieldsPerPipeline = 30_000                        // in calls that each cost costOfCall more
	costOfCall        = 10                            // in fields: the cost of a call without any
	costlyText        = bytesPerReply / fieldsPerCall // in bytes: a longer text costs more than one field
	textOverhead      = 8                             // in bytes: what stands around a text on the line
)

// valueCall reads a slice of a query's fields. If the query names a generation, the field of
// the generation is behind all others.
type valueCall struct {
	query    int // its place in queries
	from, to int // the slice of its fields
	bytes    int // of the request or of the reply, whichever is more, about
}

// seriesReading is one ReadSeries or one ReadStarts, or what ReadHead reads of values.
type seriesReading struct {
	r       *Redis
	queries []SeriesQuery
	replies []SeriesReply
	keys    []string    // parallel to queries
	long    []bool      // whether a text was met that is too long; parallel to queries
	average []int       // bytes of a value, as far as is known; parallel to queries
	left    []valueCall // still to be sent
	room    int         // in bytes

	attempts int // pipelines in a row that got no answer
	// The queries before strict are for what should be short: the server does not send more. Those
	// from optional on are dropped when they take more than the first pipeline.
	strict, optional int
}

// ReadSeries implements [Store].
func (r *Redis) ReadSeries(ctx context.Context, queries []SeriesQuery, room int) (replies []SeriesReply, lineage string, err error) {
	s := r.newSeriesReading(queries, queryKeys(queries, r.keys.values), room)
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

// queryKeys returns the key of each query's family.
func queryKeys(queries []SeriesQuery, key func(family string) string) []string {
	keys := make([]string, len(queries))
	for q := range queries {
		keys[q] = key(queries[q].Family)
	}
	return keys
}

// newSeriesReading prepares to read queries from the hashes at keys.
func (r *Redis) newSeriesReading(queries []SeriesQuery, keys []string, room int) *seriesReading {
	s := &seriesReading{
		r: r, queries: queries, replies: make([]SeriesReply, len(queries)), left: make([]valueCall, 0, len(queries)),
		keys: keys, long: make([]bool, len(queries)), average: make([]int, len(queries)), room: room, optional: len(queries),
	}
	fieldsOf := func(q int) int {
		if queries[q].Generation != "" {
			return len(queries[q].Fields) + 1
		}
		return len(queries[q].Fields)
	}
	all := 0
	for q := range queries {
		all += fieldsOf(q)
	}
	values := make([]SeriesValue, all) // in one piece
	for q := range queries {
		fields := fieldsOf(q)
		s.replies[q].Values, values = values[:fields:fields], values[fields:]
		s.average[q] = queries[q].Texts / max(1, fields)
		s.cut(valueCall{query: q, to: fields})
	}
	return s
}

// field returns a field of a query.
func (q *SeriesQuery) field(i int) *string {
	if i == len(q.Fields) {
		return &generationField
	}
	return &q.Fields[i]
}

var generationField = GenerationField

// readWith makes the calls, and others in the same pipeline. With behind, all calls are made
// after the others. For lineage see readAll.
func (s *seriesReading) readWith(ctx context.Context, others []*call, behind, lineage bool) (info *redis.StringCmd, err error) {
	if s.r.usually() == always {
		s.r.read(ctx, others...)
		return s.readAll(ctx, lineage)
	}
	p := valuePipeline{s: s, calls: s.next(), behind: behind}
	p.lineage = lineage && len(s.left) == 0
	s.r.readBefore(ctx, &p, others)
	for _, c := range others {
		if err := c.cmd.Err(); err != nil && !Answered(err) {
			return nil, err // after all attempts
		}
	}
	if err := p.err(); p.dropped || err != nil {
		if err != nil && !unanswered(ctx, err) {
			return nil, s.r.explain(err, nil)
		}
		if err != nil {
			s.attempts++
		}
		s.left = slices.Concat(p.calls, s.left)
		return s.readAll(ctx, lineage)
	}
	if info, err = s.take(ctx, &p); err != nil {
		return nil, err
	}
	if info != nil {
		s.finish()
		return info, nil
	}
	s.left = slices.DeleteFunc(s.left, func(c valueCall) bool { return c.query >= s.optional })
	return s.readAll(ctx, lineage && s.optional == len(s.queries))
}

// readAll makes the calls, in as many pipelines as they need. If lineage is set, the last
// pipeline asks for the lineage as well, unless it goes through readParsed; then info is nil.
func (s *seriesReading) readAll(ctx context.Context, lineage bool) (info *redis.StringCmd, err error) {
	for len(s.left) > 0 {
		calls := s.next()
		if s.r.usually() == always {
			err = s.readParsed(ctx, calls)
		} else {
			info, err = s.readRaw(ctx, calls, lineage && len(s.left) == 0)
		}
		if err != nil {
			return nil, err
		}
	}
	s.finish()
	return info, nil
}

// next takes the calls of the next pipeline from those that are left.
func (s *seriesReading) next() []valueCall {
	n, cost, bytes, pace := 0, 0, 0, s.r.pace.bytes()
	for n < len(s.left) {
		cost += s.cost(s.left[n])
		if bytes += s.left[n].bytes; n > 0 && (cost > fieldsPerPipeline || bytes > pace) {
			break
		}
		n++
	}
	calls := s.left[:n]
	s.left = s.left[n:]
	return calls
}

// finish compares the generations, when all is read.
func (s *seriesReading) finish() {
	for q, key := range s.keys {
		generation, reply := s.queries[q].Generation, &s.replies[q]
		if s.long[q] || len(reply.Values) > 1 { // the generation alone does not tell of the rest
			s.r.long.note(key, s.long[q])
		}
		if generation == "" || reply.Values == nil {
			continue
		}
		last := len(reply.Values) - 1
		if !reply.Values[last].Found || reply.Values[last].Text != generation {
			*reply = SeriesReply{Err: ErrGeneration}
			continue
		}
		reply.Values = reply.Values[:last]
		reply.Texts -= len(generation)
	}
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
		call := valueCall{query: c.query, from: c.from + part.from, to: c.from + part.to}
		for f := call.from; f < call.to; f++ {
			call.bytes += len(*s.queries[c.query].field(f))
		}
		fields := call.to - call.from
		call.bytes = max(call.bytes, fields*s.average[c.query]) + textOverhead*(fields+2) + len(s.keys[c.query])
		s.left = append(s.left, call)
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
		s.cut(valueCall{query: c.query, from: c.from + n, to: c.to})
	}
	return nil
}

// readRaw reads in one pipeline. If lineage is set, the pipeline ends with INFO replication.
func (s *seriesReading) readRaw(ctx context.Context, calls []valueCall, lineage bool) (info *redis.StringCmd, err error) {
	p := valuePipeline{s: s, calls: calls, lineage: lineage}
	pipe := s.r.client.Pipeline()
	p.enqueue(ctx, pipe)
	begun := time.Now()
	_, err = pipe.Exec(ctx)
	p.sent(err, time.Since(begun))
	if err = p.err(); err == nil {
		s.attempts = 0
		return s.take(ctx, &p)
	}
	s.r.reloadAfter(ctx, err)
	if s.attempts++; s.attempts < readAttempts && unanswered(ctx, err) {
		s.left = slices.Concat(calls, s.left) // in shorter pipelines, over another connection
		return nil, nil
	}
	return nil, s.r.explain(err, nil)
}

// take takes in the replies to a pipeline. It returns its last, if that is the lineage behind all
// values.
func (s *seriesReading) take(ctx context.Context, p *valuePipeline) (info *redis.StringCmd, err error) {
	odd, err := p.take()
	if err != nil {
		return nil, err
	}
	if len(odd) > 0 {
		return nil, s.readParsed(ctx, odd)
	}
	if len(s.left) > 0 { // a reply was not complete
		return nil, nil
	}
	return p.info, nil
}

// readParsed reads in one pipeline by ordinary calls.
func (s *seriesReading) readParsed(ctx context.Context, parts []valueCall) error {
	calls := make([]*call, len(parts))
	for i, c := range parts {
		args := make([]any, 0, fieldsPerCall)
		for f := c.from; f < c.to; f++ {
			args = append(args, *s.queries[c.query].field(f))
		}
		calls[i] = s.call(c, args...)
	}
	s.r.read(ctx, calls...)
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
