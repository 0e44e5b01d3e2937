// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strconv"
	"time"
)

// SequenceAge is how long the sequence number of a silent writer is kept.
const SequenceAge = 7 * 24 * time.Hour

// The most that one turn does, in slices that take Redis a moment each. If somebody has
// filled the keys, the rest waits for the next turn.
const (
	forgottenPerTurn = 100
	namesPerTurn     = 2 * MaxFamilies
	slicesPerTurn    = 500
	sliceFields      = 1000 // of a hash, awaited slice by slice
	pipelinedPrunes  = 32
	pruneFields      = 100 // of each that is pruned in a pipeline
	pipelinedSlices  = 3   // of sliceFields each
	idleFields       = 250 // of a slice whose marks are read as well, which takes 1 ms
	pipelinedIdle    = 8
)

// UnregisteredFor is how long a name may be listed before it is registered.
const UnregisteredFor = 10 * time.Minute

// Removed counts the series that housekeeping removed.
type Removed struct {
	Idle    int // no process held them for the retention
	Expired int // of latest gauges, past their own deadline
	reset   int // removed by a late Reset
}

// The replies of turn-1.lua.
const (
	turnTaken = 0 // by another process
	turnLate  = 2 // the last turn was long ago
)

// Housekeep implements [Store]. After trouble with one family it goes on with the others.
func (r *Redis) Housekeep(ctx context.Context, retention, pause time.Duration) (removed Removed, err error) {
	turn := &call{script: turnScript, keys: []string{r.keys.leases()}, args: []any{pause.Milliseconds()}}
	r.run(ctx, turn)
	ours, err := turn.cmd.Int()
	if err != nil || ours == turnTaken {
		return removed, err
	}
	if err := r.lapse(ctx); err != nil || ours == turnLate {
		return removed, err
	}
	var causes Causes
	if err := r.keepFamilies(ctx, &removed, &causes); err != nil {
		return removed, Join(causes.Err(), err)
	}
	if retention > 0 {
		err = r.forget(ctx, retention, &removed)
	}
	return removed, Join(causes.Err(), err)
}

// listedName is an entry of the list of families.
type listedName struct{ name, score string }

// keepFamilies prunes all listed families and removes what is idle or expired in them. It takes
// those off the list that nobody registered.
func (r *Redis) keepFamilies(ctx context.Context, removed *Removed, causes *Causes) error {
	now, names, err := r.listedNames(ctx)
	if err != nil {
		return err
	}
	// In any order: where the time is over before the end, others come first the next time.
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var more unfinished
	for part := range chunks(len(names), pipelinedPrunes) {
		r.prune(ctx, names[part.from:part.to], now, &more, removed, causes)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	r.pruneOn(ctx, more.long, causes)
	r.removeIdle(ctx, more.due, removed, causes)
	return nil
}

// listedNames reads the whole list before anything else is done: processes that touch their
// families meanwhile move the names to its end, and those behind them to ranks that were read.
func (r *Redis) listedNames(ctx context.Context) (now int64, names []listedName, err error) {
	for rank := int64(0); rank >= 0 && len(names) < namesPerTurn; {
		c := &call{script: listedScript, keys: []string{r.keys.families()}, args: []any{rank, sliceFields, MaxName}}
		r.run(ctx, c)
		reply, err := c.cmd.Slice()
		if err != nil {
			return 0, nil, err
		}
		var several []listedName
		if now, several, rank, err = listed(reply); err != nil {
			return 0, nil, err
		}
		r.mended("the list of families", reply[2])
		names = append(names, several...)
	}
	return now, names, nil
}

func listed(reply []any) (now int64, names []listedName, next int64, err error) {
	if len(reply) != 4 {
		return 0, nil, 0, unexpectedError{reply}
	}
	now, err = strconv.ParseInt(text(reply[0]), 10, 64)
	next, ok := reply[1].(int64)
	list, isList := reply[3].([]any)
	if err != nil || !ok || !isList {
		return 0, nil, 0, unexpectedError{reply}
	}
	for i := 0; i+1 < len(list); i += 2 {
		names = append(names, listedName{text(list[i]), text(list[i+1])})
	}
	return now, names, next, nil
}

// unfinished is what the first slices of control hashes leave to do.
type unfinished struct {
	long []slice // control hashes that have more slices
	due  []slice // families that may have idle or expired series
}

// prune removes old sequence numbers from the first slices of control hashes, and from the list
// the names of families that have no keys.
func (r *Redis) prune(ctx context.Context, names []listedName, now int64, more *unfinished, removed *Removed, causes *Causes) {
	calls := make([]*call, len(names))
	for i, n := range names {
		calls[i] = r.pruneCall(n.name, "0", pruneFields)
	}
	r.run(ctx, calls...)
	for i, n := range names {
		cursor, err := r.swept(calls[i], keysOf(n.name))
		reply, _ := calls[i].cmd.Val().([]any)
		if err == nil && len(reply) != 4 {
			err = unexpectedError{reply}
		}
		switch {
		case err != nil:
		case cursor != "0":
			more.long = append(more.long, slice{n.name, cursor, ""})
		case reply[2] == int64(1) && n.overdue(now):
			_, err = r.forgetFamily(ctx, n, -1, removed)
		}
		if err == nil && reply[3] == int64(1) {
			more.due = append(more.due, slice{n.name, "0", ""})
		}
		if err != nil {
			causes.Add("family "+n.name, err)
		}
	}
}

// pruneOn is prune for the further slices.
func (r *Redis) pruneOn(ctx context.Context, long []slice, causes *Causes) {
	r.goOn(ctx, long, pipelinedSlices, slicesPerTurn, causes,
		func(s slice) *call { return r.pruneCall(s.family, s.cursor, sliceFields) },
		func(s *slice, c *call) (err error) {
			s.cursor, err = r.swept(c, keysOf(s.family))
			return err
		})
}

func (r *Redis) pruneCall(family, cursor string, fields int) *call {
	return &call{script: pruneScript, keys: []string{r.keys.control(family)}, args: []any{cursor, fields, int64(SequenceAge / time.Second)}}
}

func keysOf(family string) string { return "the keys of " + family }

// removeIdle removes the idle and the expired series of families.
func (r *Redis) removeIdle(ctx context.Context, due []slice, removed *Removed, causes *Causes) {
	r.goOn(ctx, due, pipelinedIdle, slicesPerTurn*sliceFields/idleFields, causes,
		func(s slice) *call {
			return r.idleCall(s, 0, "", "", "")
		},
		func(s *slice, c *call) (err error) {
			s.cursor, s.epoch, err = removed.add(c)
			return err
		})
}

func (r *Redis) idleCall(s slice, asked int64, generation, writer string, prev any) *call {
	return &call{script: idleScript, keys: r.keys.family(s.family),
		args: []any{s.cursor, idleFields, s.epoch, asked, generation, writer, prev}}
}

// add adds what went with one slice. The next slice begins at cursor; epoch is that in which
// the first one was read.
func (r *Removed) add(slice *call) (cursor, epoch string, err error) {
	reply, err := slice.cmd.Slice()
	if err != nil {
		return "", "", err
	}
	if len(reply) != 5 || text(reply[0]) == "" {
		return "", "", unexpectedError{reply}
	}
	idle, _ := reply[2].(int64)
	expired, _ := reply[3].(int64)
	reset, _ := reply[4].(int64)
	r.Idle += int(idle)
	r.Expired += int(expired)
	r.reset += int(reset)
	return text(reply[0]), text(reply[1]), nil
}

// RemoveExpired implements [Store].
func (r *Redis) RemoveExpired(ctx context.Context, s *Sweep) error {
	at := slice{s.Family, cmp.Or(s.Cursor, "0"), s.Epoch}
	for begun, first := time.Now(), true; first || !s.Done && time.Since(begun) < sweepTime; first = false {
		sent := r.idleCall(at, 0, "", "", "")
		r.run(ctx, sent)
		var err error
		if at.cursor, at.epoch, err = s.add(sent); err != nil {
			return err
		}
		s.Cursor, s.Epoch, s.Done = at.cursor, at.epoch, at.cursor == "0"
	}
	return nil
}

// Sweep is the removal of what has expired or is idle from one family. It goes on where it was.
type Sweep struct {
	Family  string
	Removed      // so far
	Done    bool // it went through the whole family

	// The store's own: where the next slice begins.
	Cursor, Epoch string
}

// RemoveExpired sweeps one family to its end.
func RemoveExpired(ctx context.Context, s Store, family string) (Removed, error) {
	sweep := &Sweep{Family: family}
	for !sweep.Done {
		if err := s.RemoveExpired(ctx, sweep); err != nil {
			return sweep.Removed, err
		}
	}
	return sweep.Removed, nil
}

// overdue says whether a name was listed so long ago that its registration, which follows at
// once, can't be under way any more.
func (n listedName) overdue(now int64) bool {
	at, err := strconv.ParseFloat(n.score, 64)
	return err == nil && (at > float64(now) || at < float64(now-UnregisteredFor.Milliseconds()))
}

// forget removes the families that nobody registered or wrote for retention. The list tells
// which may be so old; a script decides by the family's own keys. A family that stays is
// listed again, with the present time.
func (r *Redis) forget(ctx context.Context, retention time.Duration, removed *Removed) error {
	list := &call{script: staleScript, keys: []string{r.keys.families()},
		args: []any{retention.Milliseconds(), forgottenPerTurn}}
	r.run(ctx, list)
	stale, err := list.cmd.Slice()
	if err != nil {
		return err
	}
	var causes Causes
	for i := 0; i+1 < len(stale); i += 2 {
		n := listedName{text(stale[i]), text(stale[i+1])}
		gone, err := r.forgetFamily(ctx, n, retention.Milliseconds(), removed)
		if err == nil && !gone {
			err = r.touch(ctx, []string{n.name})
		}
		if err != nil {
			causes.Add("family "+QuoteName(n.name), err)
		}
	}
	return causes.Err()
}

// forgetFamily removes a family that is older than retention, in milliseconds, and its name
// from the list; with -1 only a name without keys.
func (r *Redis) forgetFamily(ctx context.Context, n listedName, retention int64, removed *Removed) (gone bool, err error) {
	family := &call{script: forgetScript, args: []any{retention, n.score}, keys: r.keys.family(n.name)}
	r.run(ctx, family)
	reply, err := family.cmd.Slice()
	if err != nil {
		return false, err
	}
	if len(reply) != 2 {
		return false, unexpectedError{reply}
	}
	series, _ := reply[1].(int64)
	removed.Idle += int(series)
	if reply[0] != int64(1) {
		return false, nil
	}
	entry := &call{script: unlistScript, keys: []string{r.keys.families()}, args: []any{n.name, n.score}}
	r.run(ctx, entry)
	return true, entry.cmd.Err()
}
