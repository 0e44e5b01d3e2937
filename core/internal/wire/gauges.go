// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// WriteGauges implements [Store].
func (r *Redis) WriteGauges(ctx context.Context, w GaugeWrite) (GaugeStatus, error) {
	const head = 5
	args := make([]any, head, head+4*len(w.Ops))
	args[0], args[1], args[2], args[3], args[4] = w.Writer, w.Index, w.Version, 0, -1
	if w.Full {
		args[3] = 1
	}
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
	c := &call{
		script: gaugesScript,
		keys:   []string{r.keys.leases(), r.keys.gauges(w.Writer)},
		args:   args,
	}
	r.run(ctx, c)
	reply, err := c.cmd.Slice()
	if err != nil {
		return 0, err
	}
	if len(reply) != 2 {
		return 0, fmt.Errorf("%w: %v", errReply, reply)
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
	return 0, fmt.Errorf("%w: %v", errReply, reply)
}

// pipelinedWriters bounds how many writers' gauges are read in one pipeline.
const pipelinedWriters = 64

// ReadGauges implements [Store]. The key of a writer that holds something else
// than gauges holds no gauges: it does not spoil the others.
func (r *Redis) ReadGauges(ctx context.Context, writers []string) ([][]Series, error) {
	gauges := make([][]Series, len(writers))
	for part := range chunks(len(writers), pipelinedWriters) {
		calls := r.gaugeCalls(writers[part.from:part.to])
		r.run(ctx, calls...)
		if err := gaugesOf(calls, gauges[part.from:part.to]); err != nil {
			return nil, err
		}
	}
	return gauges, nil
}

func (r *Redis) gaugeCalls(writers []string) []*call {
	calls := make([]*call, len(writers))
	for i, w := range writers {
		calls[i] = &call{script: livingScript, keys: []string{r.keys.gauges(w)}}
	}
	return calls
}

// gaugesOf reads the replies to gaugeCalls.
func gaugesOf(calls []*call, into [][]Series) error {
	for i, c := range calls {
		reply, err := c.cmd.Slice()
		if isReply(err, "WRONGTYPE") {
			continue
		}
		if err != nil {
			return err
		}
		if into[i], err = livingGauges(reply); err != nil {
			return err
		}
	}
	return nil
}

// livingGauges takes the entries out of a reply whose deadline has not passed.
func livingGauges(reply []any) ([]Series, error) {
	if len(reply) != 3 {
		return nil, fmt.Errorf("%w: %v", errReply, reply)
	}
	now, err := serverTime(reply[0], reply[1])
	entries, ok := reply[2].([]any)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: %v", errReply, reply)
	}
	var living []Series
	for i := 0; i+1 < len(entries); i += 2 {
		field, entry := text(entries[i]), text(entries[i+1])
		if field == GenerationField {
			continue // the version
		}
		value, deadline, ok := strings.Cut(entry, " ")
		ms, err := strconv.ParseInt(deadline, 10, 64)
		if !ok || err != nil {
			continue // not written by us: no deadline says that it is alive
		}
		if now.Before(time.UnixMilli(ms)) {
			living = append(living, Series{Field: field, Text: value})
		}
	}
	return living, nil
}
