// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const familiesPerLookup = 1000 // in one pipeline: see scan.go

// roomForFamilies bounds what is read of the registrations of all families, in bytes.
const roomForFamilies = MaxPage / 8

// FamilyState is a family's registration as stored.
type FamilyState struct {
	Err        error
	Generation string
	// SeriesVersion changes whenever series are added to the family or removed. It is empty
	// if it is damaged.
	SeriesVersion string
	// Created is when this generation began, in microseconds of the store's clock.
	Created int64
	Definition
}

// ErrGeneration is the Err of a family whose registration is of another generation than its
// values.
var ErrGeneration = errors.New("the family's registration and its values don't belong together")

// fitFamilies sets ErrTooLarge in the registrations that do not fit into room, and subtracts
// the size of all from it.
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

// familyCalls returns two calls for each family: one reads its control hash, one the
// generation in its values.
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
			if generation == Overlong { // noted until a reading of the values does not meet it
				r.long.note(calls[2*i+1].keys[0], true)
			}
			if into[i] = familyState(fields, generation); long && into[i].Err == nil {
				into[i] = FamilyState{Err: errRegistration, Generation: generation}
			}
		}
	}
	return nil
}

// familyState reads the fields of a control hash, given the generation in the values. It
// sets the generation even if the rest is damaged.
func familyState(control []any, generation string) FamilyState {
	size := 0
	for _, v := range control {
		size += len(text(v))
	}
	if len(control) != 7 || size > MaxRegistration { // of a longer one, the reply has fewer fields
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
		return FamilyState{Err: ErrGeneration}
	case len(gen) > MaxGeneration:
		return FamilyState{Err: errRegistration}
	}
	if seriesVersion = gen + " " + seriesVersion; len(seriesVersion) > 2*MaxGeneration {
		seriesVersion = "" // damaged
	}
	damaged := func(what, text string, why error) FamilyState {
		return FamilyState{Err: &StoredError{What: what, Text: text, Why: why}, Generation: gen}
	}
	created, err := strconv.ParseInt(text(control[5]), 10, 64)
	if err != nil || created < 0 || created > MaxSequence {
		return damaged("the time of the family's registration", text(control[5]), errNumber)
	}
	if !IsType(kind) { // the page would show it
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
