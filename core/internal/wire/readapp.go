// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"
)

// AppState is what a page must know of the app as a whole.
type AppState struct {
	Now      time.Time
	Families []string // in no particular order
	Leases   []Lease
	// Lineage is the one that writers recorded last; empty if none did. Since is when it
	// changed; zero if it never did.
	Lineage string
	Since   time.Time
	// Expired are leases of candidates that have expired and are still stored. Left is when a
	// candidate went last, by what the store noted since; zero if it noted none.
	Expired []Lease
	Left    time.Time
	// Omitted is how many listed names are not in Families: what is not a metric's name, and
	// beyond MaxFamilies those that were touched longest ago.
	Omitted int
	// Damaged is how many entries of leases were damaged.
	Damaged int
}

// Writers lists the writers of the leases, in the same order.
func (a AppState) Writers() []string {
	writers := make([]string, len(a.Leases))
	for i, l := range a.Leases {
		writers[i] = l.Writer
	}
	return writers
}

// ReadApp implements [Store].
func (r *Redis) ReadApp(ctx context.Context) (AppState, error) {
	c := r.appCall()
	r.read(ctx, c)
	return r.appState(ctx, c)
}

func (r *Redis) appCall() *call {
	leases := r.keys.leases()
	return &call{script: headScript, keys: []string{r.keys.families(), leases},
		args: []any{MaxFamilies, MaxName, MaxLeases, MaxLease, flag(r.long.has(leases))}}
}

func (r *Redis) appState(ctx context.Context, c *call) (AppState, error) {
	reply, err := c.cmd.Slice()
	if err != nil {
		return AppState{}, r.whichKey(ctx, err)
	}
	if len(reply) != 6 {
		return AppState{}, unexpectedError{reply}
	}
	var state AppState
	if state.Now, err = serverTime(reply[0], reply[1]); err != nil {
		return AppState{}, unexpectedError{reply}
	}
	if held, _ := reply[5].(int64); held > MaxLeases {
		return AppState{}, &TooManyLeasesError{r.keys.leases(), held}
	}
	families, _ := reply[2].([]any)
	omitted, _ := reply[4].(int64)
	state.Omitted = int(omitted)
	for _, v := range families {
		if name := text(v); IsMetricName(name) {
			state.Families = append(state.Families, name)
		} else {
			state.Omitted++
		}
	}
	entries, _ := reply[3].([]any)
	state.Leases, state.Expired, state.Damaged = readLeases(entries, state.Now)
	state.Lineage, state.Since = recordedLineage(entries)
	state.Left = recordedLeft(entries)
	long := 0
	for i := 0; i+1 < len(entries); i += 2 {
		if text(entries[i]) == Overlong {
			long++
		}
	}
	state.Damaged += long
	r.long.note(r.keys.leases(), long > 0)
	return state, nil
}

// whichKey finds out which of the app's two keys is of a wrong type, if one is.
func (r *Redis) whichKey(ctx context.Context, err error) error {
	if !Damaged(err) {
		return err
	}
	c := r.reading(bytesPerReply, "hget", r.keys.leases(), lineageField)
	r.read(ctx, c)
	if Damaged(c.cmd.Err()) {
		return &WrongTypeError{r.keys.leases(), err}
	}
	return &WrongTypeError{r.keys.families(), err}
}
