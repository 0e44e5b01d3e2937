// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
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
)

// UnregisteredFor is how long a name may be listed before it is registered.
const UnregisteredFor = 10 * time.Minute

// Housekeep implements [Store]. After trouble with one family it goes on with the others.
func (r *Redis) Housekeep(ctx context.Context, retention, pause time.Duration) error {
	turn := &call{script: turnScript, keys: []string{r.keys.leases()}, args: []any{pause.Milliseconds()}}
	r.run(ctx, turn)
	if ours, err := turn.cmd.Int(); err != nil || ours == 0 {
		return err
	}
	if err := r.sweep(ctx, lapseScript, r.keys.leases(), "the leases", "0"); err != nil {
		return err
	}
	var causes Causes
	if err := r.keepFamilies(ctx, &causes); err != nil {
		return Join(causes.Err(), err)
	}
	if retention > 0 {
		return Join(causes.Err(), r.forget(ctx, retention))
	}
	return causes.Err()
}

// sweep goes through a hash, slice by slice, by a script that takes a cursor and how many
// fields, and returns the next cursor and how much was damaged.
func (r *Redis) sweep(ctx context.Context, s *script, key, where, cursor string, more ...any) error {
	for range slicesPerTurn {
		c := &call{script: s, keys: []string{key}, args: append([]any{cursor, sliceFields}, more...)}
		r.run(ctx, c)
		next, err := r.swept(c, where)
		if err != nil || next == "0" {
			return err
		}
		cursor = next
	}
	return nil
}

// swept reads the reply of such a script.
func (r *Redis) swept(c *call, where string) (cursor string, err error) {
	reply, err := c.cmd.Slice()
	if err != nil {
		return "", err
	}
	if len(reply) < 2 || text(reply[0]) == "" {
		return "", unexpectedError{reply}
	}
	r.mended(where, reply[1])
	return text(reply[0]), nil
}

// listedName is an entry of the list of families.
type listedName struct{ name, score string }

// keepFamilies prunes all listed families, and removes those from the list that nobody
// registered.
func (r *Redis) keepFamilies(ctx context.Context, causes *Causes) error {
	for rank, seen := int64(0), 0; rank >= 0 && seen < namesPerTurn; seen += sliceFields {
		c := &call{script: listedScript, keys: []string{r.keys.families()}, args: []any{rank, sliceFields, MaxName}}
		r.run(ctx, c)
		reply, err := c.cmd.Slice()
		if err != nil {
			return err
		}
		now, names, next, err := listed(reply)
		if err != nil {
			return err
		}
		r.mended("the list of families", reply[2])
		removed := 0
		for part := range chunks(len(names), pipelinedPrunes) {
			removed += r.prune(ctx, names[part.from:part.to], now, causes)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if rank = next; rank > 0 {
			rank -= int64(removed)
		}
	}
	return nil
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

// prune removes old sequence numbers from the control hashes of families, and from the list
// the names of those that have no keys. It returns how many names it removed.
func (r *Redis) prune(ctx context.Context, names []listedName, now int64, causes *Causes) (removed int) {
	age := int64(SequenceAge / time.Second)
	calls := make([]*call, len(names))
	for i, n := range names {
		calls[i] = &call{script: pruneScript, keys: []string{r.keys.control(n.name)}, args: []any{"0", pruneFields, age}}
	}
	r.run(ctx, calls...)
	for i, n := range names {
		where := "the keys of " + n.name
		cursor, err := r.swept(calls[i], where)
		switch {
		case err != nil:
		case cursor != "0":
			err = r.sweep(ctx, pruneScript, r.keys.control(n.name), where, cursor, age)
		case calls[i].cmd.Val().([]any)[2] == int64(1) && n.overdue(now):
			var gone bool
			if gone, err = r.forgetFamily(ctx, n, -1); gone {
				removed++
			}
		}
		if err != nil {
			causes.Add("family "+n.name, err)
		}
	}
	return removed
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
func (r *Redis) forget(ctx context.Context, retention time.Duration) error {
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
		gone, err := r.forgetFamily(ctx, n, retention.Milliseconds())
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
func (r *Redis) forgetFamily(ctx context.Context, n listedName, retention int64) (gone bool, err error) {
	family := &call{script: forgetScript, args: []any{retention, n.score},
		keys: []string{r.keys.control(n.name), r.keys.values(n.name)}}
	r.run(ctx, family)
	if removed, err := family.cmd.Int(); err != nil || removed == 0 {
		return false, err
	}
	entry := &call{script: unlistScript, keys: []string{r.keys.families()}, args: []any{n.name, n.score}}
	r.run(ctx, entry)
	return true, entry.cmd.Err()
}
