// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/sha1" // The marks of series are found by it; marks.lua says how.
	"encoding/binary"
	"strconv"
	"strings"
)

// Mark notes that a process holds series of a family.
type Mark struct {
	Family     string
	Generation string
	Fields     []string
}

// MaxMarked is how many fields a [Mark] has at most, so that it blocks Redis for less than 1 ms.
const MaxMarked = 500

// MarkReply answers a [Mark].
type MarkReply struct {
	Err error
	// Unknown says that the family has another generation. Nothing was done.
	Unknown bool
	// Gone are the places of the fields that have no series.
	Gone []int
}

// Mark implements [Store].
func (r *Redis) Mark(ctx context.Context, marks []Mark) []MarkReply {
	calls := make([]*call, len(marks))
	for i, m := range marks {
		args := make([]any, 1, 1+len(m.Fields))
		args[0] = m.Generation
		for f := range m.Fields {
			args = append(args, &m.Fields[f])
		}
		calls[i] = &call{script: markScript, keys: r.keys.family(m.Family), args: args}
	}
	r.run(ctx, calls...)
	replies := make([]MarkReply, len(marks))
	for i, c := range calls {
		replies[i] = markReply(c, len(marks[i].Fields))
	}
	return replies
}

func markReply(c *call, fields int) MarkReply {
	reply, err := c.cmd.Slice()
	switch {
	case err != nil:
		return MarkReply{Err: err}
	case len(reply) == 1 && reply[0] == "UNKNOWN":
		return MarkReply{Unknown: true}
	case len(reply) == 0 || reply[0] != "OK":
		return MarkReply{Err: unexpectedError{reply}}
	}
	var out MarkReply
	for _, number := range reply[1:] {
		n, ok := number.(int64)
		if !ok || n < 1 || n > int64(fields) {
			return MarkReply{Err: unexpectedError{reply}}
		}
		out.Gone = append(out.Gone, int(n)-1)
	}
	return out
}

// StartsQuery asks when series of a family began.
type StartsQuery struct {
	Family     string
	Generation string
	Fields     []string
}

// How marks are stored; see marks.lua.
const (
	markBuckets = 1024
	markID      = 5 // bytes that tell a series
	markSize    = 13
	markBytes   = 32500 // the longest bucket

	bucketsPerScan = 256 // of HSCAN
)

// ReadStarts implements [Store]. It reads all marks of each family: they take less than the
// names by which single ones are asked for.
func (r *Redis) ReadStarts(ctx context.Context, queries []StartsQuery) ([][]int64, error) {
	starts := make([][]int64, len(queries))
	for i, q := range queries {
		starts[i] = make([]int64, len(q.Fields))
	}
	for part := range chunks(len(queries), familiesPerLookup) {
		if err := r.readStarts(ctx, queries[part.from:part.to], starts[part.from:part.to]); err != nil {
			return nil, err
		}
	}
	return starts, nil
}

// readStarts reads the first slice of each family's marks in one pipeline. Most families have
// no more.
func (r *Redis) readStarts(ctx context.Context, queries []StartsQuery, into [][]int64) error {
	calls := make([]*call, len(queries))
	for i, q := range queries {
		calls[i] = r.reading(bytesPerReply, "hscan", r.keys.marks(q.Family), "0", "count", bucketsPerScan)
	}
	r.run(ctx, calls...)
	for i, q := range queries {
		buckets := map[string]string{}
		err := r.markSlices(ctx, r.keys.marks(q.Family), calls[i], buckets)
		if isReply(err, "WRONGTYPE") {
			continue
		}
		if err != nil {
			return err
		}
		if buckets[GenerationField] != q.Generation {
			continue
		}
		for f, field := range q.Fields {
			into[i][f] = startIn(buckets, field)
		}
	}
	return nil
}

// markSlices collects the buckets of a family, from a first slice on.
func (r *Redis) markSlices(ctx context.Context, key string, slice *call, buckets map[string]string) error {
	for {
		reply, err := slice.cmd.Slice()
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return unexpectedError{reply}
		}
		fields, _ := reply[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			name, marks := text(fields[i]), text(fields[i+1])
			if n, err := strconv.ParseUint(name, 10, 16); name == GenerationField || err == nil && n < markBuckets {
				buckets[name] = marks
			}
		}
		cursor := text(reply[0])
		if cursor == "0" || cursor == "" {
			return nil
		}
		slice = r.reading(bytesPerReply, "hscan", key, cursor, "count", bucketsPerScan)
		r.run(ctx, slice)
	}
}

// startIn finds the start of a series; 0 if it is not known.
func startIn(buckets map[string]string, field string) int64 {
	sum := sha1.Sum([]byte(field))
	first := int(sum[0])<<4 | int(sum[1])>>4 // three hexadecimal digits, and ten more
	var id [markID]byte
	for i := range id {
		id[i] = sum[1+i]<<4 | sum[2+i]>>4
	}
	marks := buckets[strconv.Itoa(first%markBuckets)]
	if len(marks)%markSize != 0 || len(marks) > markBytes {
		return 0
	}
	for from := 0; ; from++ {
		i := strings.Index(marks[from:], string(id[:]))
		if i < 0 {
			return 0
		}
		if from += i; from%markSize == 0 {
			var start [8]byte
			copy(start[1:], marks[from+markID:])
			return int64(binary.BigEndian.Uint64(start[:]))
		}
	}
}
