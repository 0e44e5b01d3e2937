// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/sha1" // marks are found by it: see marks.lua
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Mark notes that a process holds series of a family.
type Mark struct {
	Family     string
	Generation string
	Writer     string
	Last       uint64 // the writer's newest number that Redis has acknowledged
	Fields     []string
}

// MaxMarked is how many fields a [Mark] has at most, so that it blocks Redis for
// some 1 ms: 0.4 to 0.8 ms in a family of 10,000 series, 1.3 ms in one of 100,000.
const MaxMarked = 250

// MarkReply answers a [Mark].
type MarkReply struct {
	Err error
	// Unknown says that the family has another generation, or lacks the writer's last batch.
	// Nothing was done.
	Unknown bool
	// Gone are the places of the fields that have no series.
	Gone []int
}

// Mark implements [Store].
func (r *Redis) Mark(ctx context.Context, marks []Mark) []MarkReply {
	calls := make([]*call, len(marks))
	for i, m := range marks {
		args := make([]any, 3, 3+len(m.Fields))
		args[0], args[1], args[2] = m.Generation, m.Writer, m.Last
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
	bucketBytes = 32500 // the longest bucket
)

// roomForStarts bounds what one ReadStarts reads, in bytes. The marks of a million series have
// 13 MB.
const roomForStarts = MaxPage / 4

// markPlace is where the mark of a series is.
type markPlace struct {
	bucket int
	id     [markID]byte
}

// placeOf reads the first 13 hexadecimal digits of the SHA-1 of a field: three are for the
// bucket, and ten for the id.
func placeOf(field string) (p markPlace) {
	sum := sha1.Sum([]byte(field))
	p.bucket = (int(sum[0])<<4 | int(sum[1])>>4) % markBuckets
	for i := range p.id {
		p.id[i] = sum[1+i]<<4 | sum[2+i]>>4
	}
	return p
}

// ByBucket orders series so that those whose marks are in one bucket stand together. Redis
// writes and replicates a bucket as a whole. If 100,000 series are marked in any order, each
// call of 250 changes hundreds of buckets, and all calls write 109 MB; in this order 1 MB.
func ByBucket[S any](series []S, field func(S) string) []S {
	var buckets [markBuckets][]S
	for _, s := range series {
		b := placeOf(field(s)).bucket
		buckets[b] = append(buckets[b], s)
	}
	return slices.Concat(buckets[:]...)
}

// ReadStarts implements [Store]. It reads whole buckets, each once.
func (r *Redis) ReadStarts(ctx context.Context, queries []StartsQuery) ([][]int64, error) {
	places := make([][]markPlace, len(queries))
	buckets := make([]SeriesQuery, len(queries))
	for i, q := range queries {
		places[i] = make([]markPlace, len(q.Fields))
		var wanted [markBuckets]bool
		for f, field := range q.Fields {
			places[i][f] = placeOf(field)
			wanted[places[i][f].bucket] = true
		}
		names := []string{GenerationField}
		for b, wanted := range wanted {
			if wanted {
				names = append(names, strconv.Itoa(b))
			}
		}
		buckets[i] = SeriesQuery{Family: q.Family, Fields: names, Texts: markSize * len(q.Fields)}
	}
	reading := r.newSeriesReading(buckets, queryKeys(buckets, r.keys.marks), roomForStarts)
	if _, err := reading.readAll(ctx, false); err != nil {
		return nil, err
	}
	starts := make([][]int64, len(queries))
	for i, q := range queries {
		starts[i] = make([]int64, len(q.Fields))
		if reply := reading.replies[i]; reply.Err == nil && reply.Values[0].Text == q.Generation {
			findStarts(starts[i], places[i], buckets[i].Fields, reply.Values)
		}
	}
	return starts, nil
}

// findStarts finds the starts of series in the texts of buckets.
func findStarts(starts []int64, places []markPlace, names []string, texts []SeriesValue) {
	var buckets [markBuckets]string
	for i, name := range names[1:] {
		b, _ := strconv.Atoi(name)
		if text := texts[1+i].Text; len(text)%markSize == 0 && len(text) <= bucketBytes {
			buckets[b] = text
		}
	}
	for i, p := range places {
		starts[i] = p.start(buckets[p.bucket])
	}
}

// start finds the mark in its bucket; 0 if there is none.
func (p markPlace) start(bucket string) int64 {
	for from := 0; ; from++ {
		i := strings.Index(bucket[from:], string(p.id[:]))
		if i < 0 {
			return 0
		}
		if from += i; from%markSize == 0 {
			var start [8]byte
			copy(start[1:], bucket[from+markID:])
			return int64(binary.BigEndian.Uint64(start[:]))
		}
	}
}
