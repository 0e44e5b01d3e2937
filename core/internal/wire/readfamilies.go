// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
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

// lookups reads the registrations of families, the generations in their values, and the values
// that are expected of some of them, whose generations these tell.
type lookups struct {
	*seriesReading          // its first queries are for the registrations, the last are those expected
	names          []string // of the families
	generation     []int    // for each family the query that tells the generation in its values
	expected       int      // the first query of those expected
}

func (r *Redis) newLookups(names []string, expected []SeriesQuery, room int) *lookups {
	l := &lookups{names: names, generation: make([]int, len(names))}
	most := 2*len(names) + len(expected)
	queries, keys := make([]SeriesQuery, 0, most), make([]string, 0, most)
	ask := func(q SeriesQuery, key string) { queries, keys = append(queries, q), append(keys, key) }
	known := make(map[string]int, len(expected))
	for i := range expected {
		known[expected[i].Family] = i
	}
	for _, name := range names {
		ask(SeriesQuery{Family: name, Fields: registrationFields}, r.keys.control(name))
	}
	for i, name := range names {
		if _, ok := known[name]; !ok {
			l.generation[i] = len(queries)
			ask(SeriesQuery{Family: name, Fields: generationOnly}, r.keys.values(name))
		}
	}
	l.expected = len(queries)
	for i := range expected {
		ask(expected[i], r.keys.values(expected[i].Family))
	}
	for i, name := range names {
		if e, ok := known[name]; ok {
			l.generation[i] = l.expected + e
		}
	}
	l.seriesReading = r.newSeriesReading(queries, keys, room+2*roomForFamilies)
	l.strict, l.optional = l.expected, l.expected
	return l
}

// What is read of a control hash, and of a family's values to learn their generation.
var (
	registrationFields = []string{"gen", "type", "help", "mode", "bounds", "created", "shape"}
	generationOnly     = []string{GenerationField}
)

// oneRoundTrip says whether all of it fits into one pipeline.
func (l *lookups) oneRoundTrip() bool {
	cost, bytes := 0, 0
	for _, c := range l.left {
		cost += l.cost(c)
		bytes += c.bytes
	}
	return cost <= fieldsPerPipeline && bytes <= l.r.pace.bytes()
}

// states are the registrations.
func (l *lookups) states() []FamilyState {
	states := make([]FamilyState, len(l.names))
	for i := range l.names {
		control, values := l.replies[i], l.replies[l.generation[i]]
		query := l.queries[l.generation[i]]
		switch {
		case control.Err != nil:
			states[i] = FamilyState{Err: control.Err}
		case values.Err != nil && !errors.Is(values.Err, ErrTooLarge):
			states[i] = FamilyState{Err: values.Err}
		case query.Generation != "":
			states[i] = familyState(control.Values, query.Generation)
		default:
			states[i] = familyState(control.Values, values.Values[0].Text)
		}
	}
	return states
}

// familyState reads the fields of a control hash, given the generation in the values. It
// sets the generation even if the rest is damaged.
func familyState(control []SeriesValue, generation string) FamilyState {
	size, long := 0, false
	for _, v := range control {
		size += len(v.Text)
		long = long || v.Text == Overlong
	}
	gen, seriesVersion := control[0].Text, control[6].Text
	kind, mode := control[1].Text, control[3].Text
	switch {
	case gen == "" || kind == "":
		return FamilyState{Err: ErrUnregistered}
	case gen != generation:
		return FamilyState{Err: ErrGeneration}
	case len(gen) > MaxGeneration:
		return FamilyState{Err: errRegistration}
	case long, size > MaxRegistration:
		return FamilyState{Err: errRegistration, Generation: gen}
	}
	if seriesVersion = gen + " " + seriesVersion; len(seriesVersion) > 2*MaxGeneration {
		seriesVersion = "" // damaged
	}
	damaged := func(what, text string, why error) FamilyState {
		return FamilyState{Err: &StoredError{What: what, Text: text, Why: why}, Generation: gen}
	}
	created, err := strconv.ParseInt(control[5].Text, 10, 64)
	if err != nil || created < 0 || created > MaxSequence {
		return damaged("the time of the family's registration", control[5].Text, errNumber)
	}
	if !IsType(kind) { // the page would show it
		return damaged("type", kind, errType)
	}
	d := Definition{Type: kind, Help: control[2].Text}
	switch kind {
	case TypeGauge:
		switch mode {
		case ModeSum, ModeMax, ModeMin, ModeAvg, ModeLatest, ModeTotal:
			d.Mode = mode
		}
	case TypeHistogram:
		for bound := range strings.FieldsSeq(control[4].Text) {
			if len(d.Bounds) == MaxBounds {
				return damaged("bounds", control[4].Text, errBounds)
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
