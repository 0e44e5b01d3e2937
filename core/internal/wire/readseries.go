// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// What one round trip for values may cost the server, see read.go.
const (
	fieldsPerCall    = 500 // of HMGET: 0.1 to 0.2 ms
	callsPerPipeline = 16  // of that size
	costOfCall       = 20  // in fields: what a call costs beside its fields
)

// valueCall reads a slice of a query's fields.
type valueCall struct {
	query    int // which
	from, to int // fields of it
}

// ReadSeries implements [Store].
func (r *Redis) ReadSeries(ctx context.Context, queries []SeriesQuery) (replies []SeriesReply, lineage string, err error) {
	replies = make([]SeriesReply, len(queries))
	var calls []valueCall
	for q, query := range queries {
		replies[q].Values = make([]SeriesValue, len(query.Fields))
		for part := range chunks(len(query.Fields), fieldsPerCall) {
			calls = append(calls, valueCall{q, part.from, part.to})
		}
	}
	var info *redis.StringCmd
	for len(calls) > 0 {
		n, cost := 0, 0
		for n < len(calls) {
			c := calls[n].to - calls[n].from + costOfCall
			if n > 0 && cost+c > callsPerPipeline*fieldsPerCall {
				break
			}
			cost += c
			n++
		}
		if r.replicas {
			err = r.readParsed(ctx, queries, calls[:n], replies)
		} else {
			args := make([]any, 0, cost) // a call's words are fewer than its cost
			info, err = r.readRaw(ctx, queries, calls[:n], replies, args, n == len(calls))
		}
		if err != nil {
			return nil, "", err
		}
		calls = calls[n:]
	}
	if info != nil {
		lineage, err = lineageOf([]string{info.Val()}, info.Err())
	} else {
		lineage, err = r.Lineage(ctx)
	}
	return replies, lineage, err
}

// readRaw reads in one pipeline, and takes the replies as they are on the wire:
// go-redis would make two allocations for each value, and one for each field
// that is not handed over by its place. That is a third of the time.
//
// It cannot tell a redirection, or another error, from a reply. Such calls are
// made again in the ordinary way, which follows or reports it.
//
// The room of args is used, and belongs to the pipeline: a hook may hold on to it.
//
// The last pipeline to one server also asks for the replication, from which the
// lineage follows, behind everything else.
func (r *Redis) readRaw(ctx context.Context, queries []SeriesQuery, calls []valueCall, replies []SeriesReply, args []any, last bool) (info *redis.StringCmd, err error) {
	cmds := make([]*redis.RawCmd, len(calls))
	pipe := r.client.Pipeline()
	for i, c := range calls {
		begin := len(args)
		query := queries[c.query]
		args = append(args, "hmget", r.keys.values(query.Family))
		for f := c.from; f < c.to; f++ {
			args = append(args, &query.Fields[f])
		}
		cmds[i] = redis.NewRawCmd(ctx, args[begin:len(args):len(args)]...)
		_ = pipe.Process(ctx, cmds[i])
	}
	if last && r.oneServer {
		info = pipe.Info(ctx, "replication")
	}
	_, errExec := pipe.Exec(ctx)
	var again []valueCall
	for i, c := range calls {
		raw, err := cmds[i].Result()
		if err == nil && raw == nil {
			err = errExec // as in send
		}
		if err != nil {
			r.reloadAfter(ctx, err)
			return nil, r.explain(err, nil)
		}
		if !parseValues(raw, replies[c.query].Values[c.from:c.to]) {
			again = append(again, c)
		}
	}
	if len(again) == 0 {
		return info, nil
	}
	return nil, r.readParsed(ctx, queries, again, replies)
}

// readParsed reads in one pipeline by ordinary calls.
func (r *Redis) readParsed(ctx context.Context, queries []SeriesQuery, parts []valueCall, replies []SeriesReply) error {
	calls := make([]*call, len(parts))
	for i, s := range parts {
		query := queries[s.query]
		args := make([]any, 0, fieldsPerCall)
		for _, field := range query.Fields[s.from:s.to] {
			args = append(args, field)
		}
		calls[i] = r.reading("hmget", r.keys.values(query.Family), args...)
	}
	r.run(ctx, calls...)
	for i, s := range parts {
		values, err := calls[i].cmd.Slice()
		reply := &replies[s.query]
		switch {
		case isReply(err, "WRONGTYPE"):
			reply.Err = err
		case err != nil:
			return err
		default:
			for n, v := range values {
				text, found := v.(string)
				reply.Values[s.from+n] = SeriesValue{Text: text, Found: found}
			}
		}
	}
	return nil
}

// parseValues reads the reply to HMGET, whose texts then share one piece of
// memory. It returns false for whatever is not as many texts and nils as asked
// for.
func parseValues(raw []byte, into []SeriesValue) bool {
	rest := string(raw)
	count, rest, ok := cutNumber(rest, '*')
	if !ok || count != len(into) {
		return false
	}
	for i := range into {
		if strings.HasPrefix(rest, "_\r\n") { // RESP3's nil
			rest = rest[3:]
			continue
		}
		var size int
		size, rest, ok = cutNumber(rest, '$')
		switch {
		case !ok || size < -1 || size > len(rest)-2:
			return false
		case size >= 0:
			into[i] = SeriesValue{Text: rest[:size], Found: true}
			rest = rest[size+2:]
		}
	}
	return rest == ""
}

// cutNumber reads a line that begins with a sign of its type and goes on with
// a number.
func cutNumber(s string, sign byte) (n int, rest string, ok bool) {
	if s == "" || s[0] != sign {
		return 0, s, false
	}
	line, rest, ok := strings.Cut(s[1:], "\r\n")
	if !ok {
		return 0, s, false
	}
	n, err := strconv.Atoi(line)
	return n, rest, err == nil
}
