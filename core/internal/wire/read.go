// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	bytesPerReply     = 1 << 20 // of texts, where the server bounds them
	// bytesPerPipeline is far below what the guard lets pass: what a connection read
	// last counts until it is used again.
	bytesPerPipeline = callsPerPipeline * bytesPerReply
)

// roomForFamilies bounds what is read of the registrations of all families.
const roomForFamilies = MaxPage / 8

// sliceTimeout bounds the wait for one slice of a scan.
const sliceTimeout = 5 * time.Second

// ReadApp implements [Store].
func (r *Redis) ReadApp(ctx context.Context) (AppState, error) {
	c := r.appCall()
	r.run(ctx, c)
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
	state.Leases, state.Damaged = livingLeases(entries, state.Now)
	state.Lineage, state.Since = recordedLineage(entries)
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

// whichKey tells which of the app's two keys is of a wrong type, if one is.
func (r *Redis) whichKey(ctx context.Context, err error) error {
	if !Damaged(err) {
		return err
	}
	c := r.reading(bytesPerReply, "hget", r.keys.leases(), lineageField)
	r.run(ctx, c)
	if Damaged(c.cmd.Err()) {
		return &WrongTypeError{r.keys.leases(), err}
	}
	return &WrongTypeError{r.keys.families(), err}
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
	room := roomForFamilies
	for part := range chunks(len(names), familiesPerLookup) {
		calls, states := r.familyCalls(names[part.from:part.to]), into[part.from:part.to]
		r.run(ctx, calls...)
		if err := r.familyStates(calls, states); err != nil {
			return err
		}
		fitFamilies(states, &room)
	}
	return nil
}

// fitFamilies leaves out the registrations that do not fit into room.
func fitFamilies(states []FamilyState, room *int) {
	for i, s := range states {
		size := len(s.Generation) + len(s.SeriesVersion) + len(s.Help) + seriesOverhead
		for _, b := range s.Bounds {
			size += len(b) + labelOverhead
		}
		if *room -= size; *room < 0 {
			states[i] = FamilyState{Err: ErrTooLarge, Generation: s.Generation}
		}
	}
}

// familyCalls are two for each family: its control hash, and the generation
// that its values repeat.
func (r *Redis) familyCalls(names []string) []*call {
	calls := make([]*call, 0, 2*len(names))
	for _, name := range names {
		calls = append(calls,
			r.reading(MaxRegistration, "hmget", r.keys.control(name),
				"gen", "type", "help", "mode", "bounds", "created", "shape"),
			r.reading(MaxRegistration, "hget", r.keys.values(name), GenerationField))
	}
	return calls
}

// familyStates reads the replies to familyCalls.
func (r *Redis) familyStates(calls []*call, into []FamilyState) error {
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
			long := slices.Contains(fields, any(Overlong))
			r.long.note(calls[2*i].keys[0], long)
			if generation == Overlong { // a reading of the values will tell when it is gone
				r.long.note(calls[2*i+1].keys[0], true)
			}
			if into[i] = familyState(fields, generation); long && into[i].Err == nil {
				into[i] = FamilyState{Err: errRegistration, Generation: generation}
			}
		}
	}
	return nil
}

// familyState makes sense of what control holds, given the generation of the
// values. Where the rest of it is damaged the generation is known nevertheless.
func familyState(control []any, generation string) FamilyState {
	size := 0
	for _, v := range control {
		size += len(text(v))
	}
	if len(control) != 7 || size > MaxRegistration { // the server stops where it is longer
		if len(control) > 0 && text(control[0]) == generation && len(generation) <= MaxGeneration {
			return FamilyState{Err: errRegistration, Generation: generation}
		}
		return FamilyState{Err: errRegistration}
	}
	gen, seriesVersion := text(control[0]), text(control[6])
	kind, mode := text(control[1]), text(control[3])
	switch {
	case gen == "" || kind == "":
		return FamilyState{Err: ErrUnregistered}
	case gen != generation:
		return FamilyState{Err: errGeneration}
	case len(gen) > MaxGeneration:
		return FamilyState{Err: errRegistration}
	}
	if seriesVersion = gen + " " + seriesVersion; len(seriesVersion) > 2*MaxGeneration {
		seriesVersion = "" // not one of ours
	}
	damaged := func(what, text string, why error) FamilyState {
		return FamilyState{Err: &StoredError{What: what, Text: text, Why: why}, Generation: gen}
	}
	created, err := strconv.ParseInt(text(control[5]), 10, 64)
	if err != nil || created < 0 || created > MaxSequence {
		return damaged("the time of the family's registration", text(control[5]), errNumber)
	}
	if !IsType(kind) { // it would be a line of the page
		return damaged("type", kind, errType)
	}
	d := Definition{Type: kind, Help: text(control[2])}
	switch kind {
	case TypeGauge:
		switch mode {
		case ModeSum, ModeMax, ModeMin, ModeAvg, ModeLatest, ModeTotal:
			d.Mode = mode
		}
	case TypeHistogram:
		for bound := range strings.FieldsSeq(text(control[4])) {
			if len(d.Bounds) == MaxBounds {
				return damaged("bounds", text(control[4]), errBounds)
			}
			d.Bounds = append(d.Bounds, bound)
		}
	}
	return FamilyState{Generation: gen, SeriesVersion: seriesVersion, Created: created, Definition: d}
}

var (
	errRegistration = errors.New("the family's registration is damaged")
	errType         = errors.New("not one that a metric has")
	errBounds       = fmt.Errorf("more than %d", MaxBounds)
)

// ScanSeries implements [Store].
func (r *Redis) ScanSeries(ctx context.Context, family string, room int) ([]Series, error) {
	var series []Series
	err := r.scanWhole(ctx, r.keys.values(family), func(field, value string) bool {
		if field != GenerationField {
			series = append(series, Series{Field: field, Text: value})
			room -= Cost(field, value)
		}
		return room >= 0
	})
	if err == nil && room < 0 {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return series, nil
}

// scanWhole visits each field of a hash once, as long as visit returns true. A scan
// may name a field twice, and whatever was there all the while is named at least once.
func (r *Redis) scanWhole(ctx context.Context, key string, visit func(field, value string) bool) error {
	seen := make(map[string]struct{})
	long := false
	err := r.scan(ctx, key, func(field, value string) bool {
		if _, ok := seen[field]; ok {
			return true
		}
		seen[field] = struct{}{}
		long = long || field == Overlong || value == Overlong
		return visit(field, value)
	})
	r.long.note(key, long)
	return err
}

// scan visits the fields of a hash, in slices that are awaited one by one, as long
// as visit returns true.
func (r *Redis) scan(ctx context.Context, key string, visit func(field, value string) bool, match ...any) error {
	for cursor := "0"; ; {
		args := append([]any{cursor, "count", fieldsPerScan}, match...)
		c := r.reading(bytesPerReply, "hscan", key, args...)
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
			if !visit(text(fields[i]), text(fields[i+1])) {
				return nil
			}
		}
		if cursor = text(reply[0]); cursor == "0" || cursor == "" {
			return nil
		}
	}
}
