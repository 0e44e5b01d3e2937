// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What one round trip may cost the server: the calls of a pipeline whose requests
// are short run back to back there, so each is bounded to some milliseconds and
// awaited.
const (
	fieldsPerScan     = 1000 // of HSCAN, awaited slice by slice
	familiesPerLookup = 500
)

// sliceTimeout bounds the wait for one slice of a scan.
const sliceTimeout = 5 * time.Second

// ReadApp implements [Store].
func (r *Redis) ReadApp(ctx context.Context) (AppState, error) {
	c := r.appCall()
	r.run(ctx, c)
	return appState(c)
}

func (r *Redis) appCall() *call {
	return &call{script: headScript, keys: []string{r.keys.families(), r.keys.leases()}}
}

func appState(c *call) (AppState, error) {
	reply, err := c.cmd.Slice()
	if err != nil {
		return AppState{}, err
	}
	if len(reply) != 4 {
		return AppState{}, unexpectedError{reply}
	}
	var state AppState
	if state.Now, err = serverTime(reply[0], reply[1]); err != nil {
		return AppState{}, unexpectedError{reply}
	}
	families, _ := reply[2].([]any)
	for _, name := range families {
		state.Families = append(state.Families, text(name))
	}
	entries, _ := reply[3].([]any)
	state.Leases = livingLeases(entries, state.Now)
	state.Lineage, state.Since = recordedLineage(entries)
	return state, nil
}

// ReadFamilies implements [Store].
func (r *Redis) ReadFamilies(ctx context.Context, names []string) ([]FamilyState, error) {
	states := make([]FamilyState, len(names))
	if err := r.readFamilies(ctx, names, states); err != nil {
		return nil, err
	}
	// The two keys of a family are read one after the other. Where they don't
	// agree, a new generation may have begun in between.
	for i, name := range names {
		if errors.Is(states[i].Err, errGeneration) {
			if err := r.readFamilies(ctx, names[i:i+1], states[i:i+1]); err != nil {
				return nil, fmt.Errorf("family %s: %w", QuoteName(name), err)
			}
		}
	}
	return states, nil
}

var errGeneration = errors.New("the family's registration and its values don't belong together")

func (r *Redis) readFamilies(ctx context.Context, names []string, into []FamilyState) error {
	for part := range chunks(len(names), familiesPerLookup) {
		calls := r.familyCalls(names[part.from:part.to])
		r.run(ctx, calls...)
		if err := familyStates(calls, into[part.from:part.to]); err != nil {
			return err
		}
	}
	return nil
}

// familyCalls are two for each family: its control hash, and the generation
// that its values repeat.
func (r *Redis) familyCalls(names []string) []*call {
	calls := make([]*call, 0, 2*len(names))
	for _, name := range names {
		calls = append(calls,
			r.reading("hmget", r.keys.control(name),
				"gen", "type", "help", "mode", "bounds", "created", "shape"),
			r.reading("hget", r.keys.values(name), GenerationField))
	}
	return calls
}

// familyStates reads the replies to familyCalls.
func familyStates(calls []*call, into []FamilyState) error {
	for i := range into {
		control, values := calls[2*i].cmd, calls[2*i+1].cmd
		fields, err := control.Slice()
		generation, errValues := values.Text()
		if isNil(errValues) {
			errValues = nil
		}
		if err == nil {
			err = errValues
		}
		switch {
		case isReply(err, "WRONGTYPE"):
			into[i] = FamilyState{Err: err}
		case err != nil:
			return err
		default:
			into[i] = familyState(fields, generation)
		}
	}
	return nil
}

// familyState makes sense of what control holds, given the generation of the
// values.
func familyState(control []any, generation string) FamilyState {
	if len(control) != 7 {
		return FamilyState{Err: unexpectedError{control}}
	}
	gen, shape := text(control[0]), text(control[6])
	kind := text(control[1])
	if gen == "" || kind == "" {
		return FamilyState{Err: ErrUnregistered}
	}
	if gen != generation {
		return FamilyState{Err: errGeneration}
	}
	created, err := strconv.ParseInt(text(control[5]), 10, 64)
	if err != nil {
		return FamilyState{Err: &StoredError{What: "the time of the family's registration", Text: text(control[5]), Why: errNumber}}
	}
	return FamilyState{
		Generation: gen,
		Shape:      gen + " " + shape,
		Created:    created,
		Definition: Definition{
			Type:   kind,
			Help:   text(control[2]),
			Mode:   text(control[3]),
			Bounds: strings.Fields(text(control[4])),
		},
	}
}

// ScanSeries implements [Store]. A scan may name a field twice, and whatever
// was there all the while is named at least once.
func (r *Redis) ScanSeries(ctx context.Context, family string) ([]Series, error) {
	var series []Series
	seen := make(map[string]struct{})
	err := r.scan(ctx, r.keys.values(family), func(field, value string) {
		if field == GenerationField {
			return
		}
		if _, ok := seen[field]; !ok {
			seen[field] = struct{}{}
			series = append(series, Series{Field: field, Text: value})
		}
	})
	return series, err
}

// scan visits the fields of a hash, in slices that are awaited one by one.
func (r *Redis) scan(ctx context.Context, key string, visit func(field, value string), match ...any) error {
	for cursor := "0"; ; {
		args := append([]any{cursor, "count", fieldsPerScan}, match...)
		c := r.reading("hscan", key, args...)
		sliceCtx, cancel := context.WithTimeout(ctx, sliceTimeout) // a scan of many may take long, one may not
		r.run(sliceCtx, c)
		cancel()
		reply, err := c.cmd.Slice()
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return unexpectedError{reply}
		}
		fields, _ := reply[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			visit(text(fields[i]), text(fields[i+1]))
		}
		if cursor = text(reply[0]); cursor == "0" || cursor == "" {
			return nil
		}
	}
}
