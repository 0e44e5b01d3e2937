// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
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
