// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

// One call reads the gauges of several writers, so that Redis serves other clients in between.
const (
	pipelinedGauges     = 64_000 // they take Redis some 50 ms
	pipelinedGaugeCalls = 16     // calls
	writersPerCall      = 512
	gaugesPerCall       = pipelinedGauges / pipelinedGaugeCalls // of several writers
	gaugeBytesPerCall   = bytesPerReply / 4
)

// unknownSize stands for the gauges of a writer that was not read before: 64 such go into a call.
var unknownSize = gaugeSize{gaugesPerCall / 64, gaugeBytesPerCall / 64}

// roomForGauges bounds what is read of the gauges of all writers, in bytes.
const roomForGauges = MaxPage / 2

// gaugeSizes remembers how much the gauges of a writer were when they were read last, by their keys.
// So the next reading puts few large writers or many small ones into a call. The zero value is
// empty. It is safe for concurrent use.
type gaugeSizes struct {
	mu sync.Mutex
	of map[string]gaugeSize // guarded by mu
}

type gaugeSize struct{ gauges, bytes int }

func (g *gaugeSizes) get(key string) gaugeSize {
	g.mu.Lock()
	defer g.mu.Unlock()
	if size, found := g.of[key]; found {
		return size
	}
	return unknownSize
}

func (g *gaugeSizes) put(key string, size gaugeSize) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil || len(g.of) >= 2*MaxLeases { // most of them are of processes that have ended
		g.of = make(map[string]gaugeSize)
	}
	g.of[key] = size
}

// gaugeCalls makes the calls of one pipeline. They read the gauges of the first of these writers: so
// many as have room in it. A writer with many or long gauges has a call for itself.
func (r *Redis) gaugeCalls(writers []string) (calls []*call, read int) {
	sum := gaugeSize{}
	alone := false // whether the last call is for one writer
	for _, w := range writers {
		key := r.keys.gauges(w)
		size, careful := r.sizes.get(key), r.long.has(key)
		large := careful || size.gauges > gaugesPerCall || size.bytes > gaugeBytesPerCall
		sum.gauges += size.gauges
		sum.bytes += size.bytes
		if n := len(calls); n > 0 && !large && !alone && len(calls[n-1].keys) < writersPerCall &&
			sum.gauges <= gaugesPerCall && sum.bytes <= gaugeBytesPerCall {
			calls[n-1].keys = append(calls[n-1].keys, key)
			read++
			continue
		}
		if len(calls) == pipelinedGaugeCalls {
			break
		}
		calls = append(calls, &call{script: livingScript, keys: []string{key},
			args: []any{gaugesPerCall, gaugeBytesPerCall, MaxText, flag(careful)}})
		sum, alone = size, large
		read++
	}
	for _, c := range calls {
		if len(c.keys) == 1 {
			c.args[0], c.args[1] = pipelinedGauges/len(calls), min(bytesPerReply, bytesPerPipeline/len(calls))
		}
	}
	return calls, read
}

// gaugesOf reads the replies to gaugeCalls. What had no room in a call for several writers is read by
// calls that know how many gauges there are, and the rest by slices. It subtracts their size from
// room.
func (r *Redis) gaugesOf(ctx context.Context, writers []string, calls []*call, into []GaugesReply, room *int) error {
	again, err := r.gaugesIn(ctx, calls, into, room, false)
	for err == nil && len(again) > 0 {
		list := make([]string, len(again))
		for i, place := range again {
			list[i] = writers[place]
		}
		more, n := r.gaugeCalls(list)
		r.read(ctx, more...)
		found := make([]GaugesReply, n)
		_, err = r.gaugesIn(ctx, more, found, room, true)
		for i := range found {
			into[again[i]] = found[i]
		}
		again = again[n:]
	}
	return err
}

// gaugesIn reads the replies to gaugeCalls. It returns the places of the writers whose gauges had no
// room in a call for several; the last time, it reads them by slices.
func (r *Redis) gaugesIn(ctx context.Context, calls []*call, into []GaugesReply, room *int, last bool) (again []int, err error) {
	place := 0
	for _, c := range calls {
		reply, err := c.cmd.Slice()
		if err != nil {
			return nil, err
		}
		if len(reply) != 2+len(c.keys) {
			return nil, unexpectedError{reply}
		}
		now, err := serverTime(reply[0], reply[1])
		if err != nil {
			return nil, unexpectedError{reply}
		}
		for i, key := range c.keys {
			many, tooMany := reply[2+i].(int64)
			list, ok := reply[2+i].([]any)
			switch {
			case !ok && !tooMany:
				return nil, unexpectedError{reply}
			case tooMany && !last && len(c.keys) > 1:
				r.sizes.put(key, gaugeSize{int(many), unknownSize.bytes})
				again = append(again, place)
			default:
				if err := r.gaugesFrom(ctx, key, list, int(many), now, &into[place], room); err != nil {
					return nil, err
				}
			}
			place++
		}
	}
	return again, nil
}

// gaugesFrom takes in the gauges of one writer, which are in the list; if they are many, it reads
// them by slices.
func (r *Redis) gaugesFrom(ctx context.Context, key string, list []any, many int, now time.Time, into *GaugesReply, room *int) error {
	if many > MaxGauges {
		into.Err = ErrTooLarge
		return nil
	}
	living := livingGauges{now: now, room: *room / 2}
	var err error
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
		r.sizes.put(key, gaugeSize{max(many, len(list)/2), living.bytes})
	}
	return nil
}

// livingGauges gathers the entries of a writer's gauges whose deadline has not passed.
type livingGauges struct {
	GaugesReply
	now   time.Time
	room  int  // in bytes; negative if they took more
	bytes int  // of the texts
	long  bool // whether one was too long
}

// add takes in one entry, and says whether there is room for more.
func (l *livingGauges) add(field, entry string) bool {
	if field == GenerationField {
		return true // the version
	}
	l.room -= Cost(field, entry)
	l.bytes += len(field) + len(entry)
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
