// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// familiesPerRound bounds what one call of Housekeep forgets. The rest waits
// for the next.
const familiesPerRound = 100

// Housekeep implements [Store]. Trouble with one family does not keep it from
// the others.
func (r *Redis) Housekeep(ctx context.Context, retention, pause time.Duration) error {
	turn := &call{script: turnScript, keys: []string{r.keys.leases()}, args: []any{pause.Milliseconds()}}
	r.run(ctx, turn)
	if ours, err := turn.cmd.Int(); err != nil || ours == 0 {
		return err
	}
	state, err := r.ReadApp(ctx)
	if err != nil {
		return err
	}
	var causes Causes
	for _, family := range state.Families {
		if err := r.prune(ctx, family, state.Now); err != nil {
			causes.Add("family "+QuoteName(family), err)
			if ctx.Err() != nil {
				return causes.Err()
			}
		}
	}
	if retention > 0 {
		return Join(causes.Err(), r.forget(ctx, retention))
	}
	return causes.Err()
}

// prune removes the sequence numbers of a family that are too old. Those of a time
// to come begin to age.
func (r *Redis) prune(ctx context.Context, family string, now time.Time) error {
	limit := now.Add(-SequenceAge).Unix()
	var old []any
	key := r.keys.control(family)
	err := r.scan(ctx, key, func(field, value string) bool {
		_, stamp, _ := strings.Cut(value, " ")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err == nil && (seconds <= limit || seconds > now.Unix()) {
			old = append(old, field)
		}
		return true
	}, "match", "w:*")
	if err != nil {
		return err
	}
	for part := range chunks(len(old), fieldsPerCall) {
		c := &call{script: pruneScript, keys: []string{key},
			args: append([]any{int64(SequenceAge / time.Second)}, old[part.from:part.to]...)}
		r.run(ctx, c)
		if err := c.cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the families that nobody declared or wrote for retention. The
// list only proposes: a script at the family itself decides, and what stays is put
// back on the list with the present time.
func (r *Redis) forget(ctx context.Context, retention time.Duration) error {
	list := &call{script: staleScript, keys: []string{r.keys.families()},
		args: []any{retention.Milliseconds(), familiesPerRound}}
	r.run(ctx, list)
	stale, err := list.cmd.Slice()
	if err != nil {
		return err
	}
	var causes Causes
	for i := 0; i+1 < len(stale); i += 2 {
		name, score := text(stale[i]), text(stale[i+1])
		family := &call{script: forgetScript, args: []any{retention.Milliseconds()},
			keys: []string{r.keys.control(name), r.keys.values(name)}}
		r.run(ctx, family)
		gone, err := family.cmd.Int()
		switch {
		case err != nil:
		case gone == 0:
			err = r.Touch(ctx, []string{name})
		default:
			entry := &call{script: unlistScript, keys: []string{r.keys.families()}, args: []any{name, score}}
			r.run(ctx, entry)
			err = entry.cmd.Err()
		}
		if err != nil {
			causes.Add("family "+QuoteName(name), err)
		}
	}
	return causes.Err()
}
