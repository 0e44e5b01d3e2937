// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
)

// Head is what a page reads before the series.
type Head struct {
	Lineage string // as the store told it before the rest was read
	App     AppState
	States  []FamilyState // parallel to App.Families
	Gauges  []GaugesReply // parallel to App.Leases

	// Series are the values that were expected, read after all else, and After is the lineage
	// behind them. Series is nil if they were not read.
	Series []SeriesReply
	After  string
}

// Expected is what the last page read. ReadHead asks for the same at once.
type Expected struct {
	App    AppState
	Series []SeriesQuery
	Room   int // for the values, as in ReadSeries
}

// HeadInParts reads a head by one call for each of its parts.
func HeadInParts(ctx context.Context, s Store) (Head, error) {
	var head Head
	var err error
	if head.Lineage, err = s.Lineage(ctx); err != nil {
		return Head{}, err
	}
	if head.App, err = s.ReadApp(ctx); err != nil {
		return Head{}, err
	}
	if head.States, err = s.ReadFamilies(ctx, head.App.Families); err != nil {
		return Head{}, err
	}
	if head.Gauges, err = s.ReadGauges(ctx, head.App.Writers()); err != nil {
		return Head{}, err
	}
	return head, nil
}

// ReadHead implements [Store]. One server is asked in one pipeline, which it executes in
// order, for everything that the last page had, and the values too if they fit into it. In a
// Cluster the order among servers is not fixed: a family might be read before its writer
// brings something back, and the lease after the writer has noted in it that nothing is
// missing. So there one part is read after the other.
func (r *Redis) ReadHead(ctx context.Context, last Expected) (Head, error) {
	if !r.oneServer {
		return HeadInParts(ctx, r)
	}
	families := last.App.Families[:min(len(last.App.Families), familiesPerLookup)]
	last.App.Leases = last.App.Leases[:min(len(last.App.Leases), pipelinedWriters)]
	writers := last.App.Writers()
	info := &call{command: "info", args: []any{"replication"}}
	app, lookups, entries := r.appCall(), r.familyCalls(families), r.gaugeCalls(writers)
	values := r.expectedValues(last)
	r.readBefore(ctx, values, append(append([]*call{info, app}, lookups...), entries...))

	var head Head
	text, err := info.cmd.Text()
	if head.Lineage, err = lineageOf([]string{text}, err); err != nil {
		return Head{}, err
	}
	if head.App, err = r.appState(ctx, app); err != nil {
		return Head{}, err
	}
	states, gauges := make([]FamilyState, len(families)), make([]GaugesReply, len(writers))
	roomFamilies, roomGauges := roomForFamilies, roomForGauges
	if err := errors.Join(r.familyStates(lookups, states), r.gaugesOf(ctx, entries, gauges, &roomGauges)); err != nil {
		return Head{}, err
	}
	fitFamilies(states, &roomFamilies)
	if err := r.readOthers(ctx, &head, families, states, writers, gauges); err != nil {
		return Head{}, err
	}
	head.Series, head.After = values.expected()
	return head, nil
}

// readOthers puts what was read of families and writers in its place in the head, and reads
// what is still missing there.
func (r *Redis) readOthers(ctx context.Context, head *Head, families []string, states []FamilyState, writers []string, gauges []GaugesReply) error {
	known := make(map[string]FamilyState, len(families))
	for i, name := range families {
		known[name] = states[i]
	}
	var names, others []string
	var places, seats []int
	head.States = make([]FamilyState, len(head.App.Families))
	for i, name := range head.App.Families {
		state, found := known[name]
		if head.States[i] = state; !found || errors.Is(state.Err, ErrGeneration) {
			names, places = append(names, name), append(places, i)
		}
	}
	living := make(map[string]GaugesReply, len(writers))
	for i, writer := range writers {
		living[writer] = gauges[i]
	}
	head.Gauges = make([]GaugesReply, len(head.App.Leases))
	for i, writer := range head.App.Writers() {
		entries, found := living[writer]
		if head.Gauges[i] = entries; !found {
			others, seats = append(others, writer), append(seats, i)
		}
	}
	rest, restGauges, err := r.readStates(ctx, names, others)
	if err != nil {
		return err
	}
	for i, state := range rest {
		head.States[places[i]] = state
	}
	for i, entries := range restGauges {
		head.Gauges[seats[i]] = entries
	}
	return nil
}

// readStates is ReadFamilies and ReadGauges in the same pipelines.
func (r *Redis) readStates(ctx context.Context, names, writers []string) ([]FamilyState, []GaugesReply, error) {
	states, gauges := make([]FamilyState, len(names)), make([]GaugesReply, len(writers))
	roomFamilies, roomGauges := roomForFamilies, roomForGauges
	for f, g := 0, 0; f < len(names) || g < len(writers); {
		toF, toG := min(f+familiesPerLookup, len(names)), min(g+pipelinedWriters, len(writers))
		lookups, entries := r.familyCalls(names[f:toF]), r.gaugeCalls(writers[g:toG])
		r.read(ctx, append(lookups, entries...)...)
		if err := errors.Join(r.familyStates(lookups, states[f:toF]), r.gaugesOf(ctx, entries, gauges[g:toG], &roomGauges)); err != nil {
			return nil, nil, err
		}
		fitFamilies(states[f:toF], &roomFamilies)
		f, g = toF, toG
	}
	// The control hash and the values of a family are read one after the other. If their
	// generations differ, a new one may have begun in between.
	for i, name := range names {
		if !errors.Is(states[i].Err, ErrGeneration) {
			continue
		}
		calls := r.familyCalls([]string{name})
		r.read(ctx, calls...)
		if err := r.familyStates(calls, states[i:i+1]); err != nil {
			return nil, nil, err
		}
	}
	return states, gauges, nil
}

// ReadFamilies implements [Store].
func (r *Redis) ReadFamilies(ctx context.Context, names []string) ([]FamilyState, error) {
	states, _, err := r.readStates(ctx, names, nil)
	return states, err
}

// ReadGauges implements [Store]. If one writer's key is of another type, the gauges of the
// others are read all the same.
func (r *Redis) ReadGauges(ctx context.Context, writers []string) ([]GaugesReply, error) {
	_, gauges, err := r.readStates(ctx, nil, writers)
	return gauges, err
}

// expectedValues prepares to read the values that the last page had, if one pipeline has room
// for all of them; else it returns nil.
func (r *Redis) expectedValues(last Expected) *valuePipeline {
	if len(last.Series) == 0 || r.usually() == always {
		return nil
	}
	s := r.newSeriesReading(last.Series, r.keys.values, last.Room)
	calls := s.next()
	if len(s.left) > 0 {
		return nil
	}
	return &valuePipeline{s: s, calls: calls, lineage: true}
}

// expected returns the values and the lineage behind them; nil if not all were read. The
// caller reads them again then.
func (p *valuePipeline) expected() (replies []SeriesReply, lineage string) {
	if p == nil || p.dropped || p.err() != nil {
		return nil, ""
	}
	odd, err := p.take()
	if err != nil || len(odd) > 0 || len(p.s.left) > 0 {
		return nil, ""
	}
	if lineage, err = lineageOf([]string{p.info.Val()}, p.info.Err()); err != nil {
		return nil, ""
	}
	p.s.finish()
	return p.s.replies, lineage
}
