// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// GaugeOp sets or deletes one gauge of a writer.
type GaugeOp struct {
	Field  string // see GaugeField
	Value  string
	Expire time.Duration // of this entry, from when the store executes it
	Delete bool
}

// GaugeWrite is one versioned step of a writer's gauges.
type GaugeWrite struct {
	Writer  string
	Index   int
	Version uint64
	Full    bool // the ops replace everything stored
	Own     int  // how many gauges the writer has after it; 0 if it does not say
	Ops     []GaugeOp
}

// GaugeStatus is the store's answer to a [GaugeWrite].
type GaugeStatus byte

const (
	// GaugesOK: applied now.
	GaugesOK GaugeStatus = iota + 1
	// GaugesDuplicate: this version had been applied before.
	GaugesDuplicate
	// GaugesWantFull: the stored version is not the one before; send all.
	GaugesWantFull
	// GaugesLostLease: the lease of the index is another writer's, or there is none.
	GaugesLostLease
	// GaugesAhead: a version later than this one is stored. Nothing was done.
	GaugesAhead
	// GaugesMixed: applied now, but more gauges are stored than the writer has: remove them
	// by a full write.
	GaugesMixed
)

// GaugesReply is what was read of a writer's gauges.
type GaugesReply struct {
	Err     error // they could not be read; those of others may be fine
	Entries []Series
	Damaged int // how many were not readable
}

// GaugeWritten answers a [GaugeWrite].
type GaugeWritten struct {
	Err    error // if there is no status
	Status GaugeStatus
}

// WriteGauges implements [Store].
func (r *Redis) WriteGauges(ctx context.Context, writes []GaugeWrite) []GaugeWritten {
	calls := make([]*call, len(writes))
	for i := range writes {
		calls[i] = r.gaugeCall(&writes[i])
	}
	r.run(ctx, calls...)
	replies := make([]GaugeWritten, len(writes))
	for i, c := range calls {
		replies[i].Status, replies[i].Err = r.gaugeStatus(&writes[i], c)
	}
	return replies
}

func (r *Redis) gaugeCall(w *GaugeWrite) *call {
	const head = 5
	args := make([]any, head, head+4*len(w.Ops))
	args[0], args[1], args[2], args[3], args[4] = w.Writer, w.Index, w.Version, flag(w.Full), -1
	if w.Own > 0 {
		args[4] = w.Own
	}
	for _, op := range w.Ops {
		if op.Delete {
			args = append(args, "-", op.Field, "", 0)
		} else {
			// An expiry below a millisecond must not become none.
			args = append(args, "+", op.Field, op.Value, max(op.Expire.Milliseconds(), 1))
		}
	}
	return &call{
		script: gaugesScript,
		keys:   []string{r.keys.leases(), r.keys.gauges(w.Writer)},
		args:   args,
	}
}

func (r *Redis) gaugeStatus(w *GaugeWrite, sent *call) (GaugeStatus, error) {
	reply, err := sent.cmd.Slice()
	if err != nil {
		return 0, err
	}
	if len(reply) != 2 {
		return 0, unexpectedError{reply}
	}
	damaged, _ := reply[1].(int64)
	r.mended("the gauges of this process", damaged)
	switch reply[0] {
	case "OK":
		if damaged > 0 && !w.Full {
			return GaugesMixed, nil
		}
		return GaugesOK, nil
	case "DUP":
		return GaugesDuplicate, nil
	case "AHEAD":
		return GaugesAhead, nil
	case "FULL":
		return GaugesWantFull, nil
	case "LOST":
		return GaugesLostLease, nil
	}
	return 0, unexpectedError{reply}
}

// pipelinedWriters bounds how many writers' gauges are read in one pipeline, and
// pipelinedGauges how many gauges: they take Redis some 50 ms. A writer with more than its
// part of them is read in slices.
const (
	pipelinedWriters = 64
	pipelinedGauges  = 64_000
)

// roomForGauges bounds what is read of the gauges of all writers, in bytes.
const roomForGauges = MaxPage / 2

// ReadGauges implements [Store]. If one writer's key is of another type, the gauges of the
// others are read all the same.
func (r *Redis) ReadGauges(ctx context.Context, writers []string) ([]GaugesReply, error) {
	gauges := make([]GaugesReply, len(writers))
	room := roomForGauges
	for part := range chunks(len(writers), pipelinedWriters) {
		calls := r.gaugeCalls(writers[part.from:part.to])
		r.run(ctx, calls...)
		if err := r.gaugesOf(ctx, calls, gauges[part.from:part.to], &room); err != nil {
			return nil, err
		}
	}
	return gauges, nil
}

func (r *Redis) gaugeCalls(writers []string) []*call {
	calls := make([]*call, len(writers))
	for i, w := range writers {
		key := r.keys.gauges(w)
		calls[i] = &call{script: livingScript, keys: []string{key},
			args: []any{pipelinedGauges / len(writers), min(bytesPerReply, bytesPerPipeline/len(writers)), MaxText, flag(r.long.has(key))}}
	}
	return calls
}

// gaugesOf reads the replies to gaugeCalls, and by further calls the gauges that they lack.
// It subtracts their size from room.
func (r *Redis) gaugesOf(ctx context.Context, calls []*call, into []GaugesReply, room *int) error {
	for i, c := range calls {
		reply, err := c.cmd.Slice()
		if isReply(err, "WRONGTYPE") {
			into[i].Err = err
			continue
		}
		if err != nil {
			return err
		}
		if err := r.gaugesIn(ctx, c.keys[0], reply, &into[i], room); err != nil {
			return err
		}
	}
	return nil
}

// gaugesIn reads one reply to gaugeCalls.
func (r *Redis) gaugesIn(ctx context.Context, key string, reply []any, into *GaugesReply, room *int) error {
	if len(reply) != 4 {
		return unexpectedError{reply}
	}
	now, err := serverTime(reply[0], reply[1])
	list, ok := reply[2].([]any)
	many, isNumber := reply[3].(int64)
	if err != nil || !ok || !isNumber {
		return unexpectedError{reply}
	}
	if many > MaxGauges {
		into.Err = ErrTooLarge
		return nil
	}
	living := livingGauges{now: now, room: *room / 2}
	if many > 0 {
		err = r.scanWhole(ctx, key, living.add)
	} else {
		living.Entries = make([]Series, 0, len(list)/2)
		for i := 0; i+1 < len(list) && living.room >= 0; i += 2 {
			living.add(text(list[i]), text(list[i+1]))
		}
		r.long.note(key, living.long)
	}
	switch {
	case err == nil && living.room < 0:
		into.Err = ErrTooLarge
	case isReply(err, "WRONGTYPE"):
		into.Err = err
	case err != nil:
		return err
	default:
		*room -= *room/2 - living.room
		*into = living.GaugesReply
	}
	return nil
}

// livingGauges gathers the entries of a writer's gauges whose deadline has not passed.
type livingGauges struct {
	GaugesReply
	now  time.Time
	room int  // in bytes; negative if they took more
	long bool // whether a text was too long
}

// add takes in one entry, and says whether there is room for more.
func (l *livingGauges) add(field, entry string) bool {
	if field == GenerationField {
		return true // the version
	}
	l.room -= Cost(field, entry)
	l.long = l.long || field == Overlong || entry == Overlong
	value, deadline, ok := strings.Cut(entry, " ")
	ms, err := strconv.ParseInt(deadline, 10, 64)
	switch {
	case !ok || err != nil:
		l.Damaged++ // shoal did not write it; it has no deadline, so it counts as expired
	case l.now.Before(time.UnixMilli(ms)):
		l.Entries = append(l.Entries, Series{Field: field, Text: value})
	}
	return l.room >= 0
}
