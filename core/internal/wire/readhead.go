// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
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
	families := last.App.Families
	info := &call{command: "info", args: []any{"replication"}}
	app := r.appCall()
	writers := last.App.Writers()
	entries, n := r.gaugeCalls(writers)
	writers = writers[:n]
	lookups := r.newLookups(families, last.Series, last.Room)
	if !lookups.oneRoundTrip() || r.usually() == always { // then no lineage would come behind them
		lookups = r.newLookups(families, nil, last.Room)
	}
	behind, errLookups := lookups.readWith(ctx, append([]*call{info, app}, entries...), true, lookups.expected < len(lookups.queries))

	var head Head
	text, err := info.cmd.Text()
	if head.Lineage, err = lineageOf([]string{text}, err); err != nil {
		return Head{}, err
	}
	if head.App, err = r.appState(ctx, app); err != nil {
		return Head{}, err
	}
	gauges, roomGauges := make([]GaugesReply, len(writers)), roomForGauges
	if err := errors.Join(errLookups, r.gaugesOf(ctx, writers, entries, gauges, &roomGauges)); err != nil {
		return Head{}, err
	}
	if err := r.readOthers(ctx, &head, families, lookups.states(), writers, gauges); err != nil {
		return Head{}, err
	}
	if behind != nil {
		if after, err := lineageOf([]string{behind.Val()}, behind.Err()); err == nil {
			head.Series, head.After = lookups.replies[lookups.expected:], after
		}
	}
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
	var namesAt, othersAt []int // their places in the head
	head.States = make([]FamilyState, len(head.App.Families))
	for i, name := range head.App.Families {
		state, found := known[name]
		if head.States[i] = state; !found || errors.Is(state.Err, ErrGeneration) {
			names, namesAt = append(names, name), append(namesAt, i)
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
			others, othersAt = append(others, writer), append(othersAt, i)
		}
	}
	rest, restGauges, err := r.readStates(ctx, names, others)
	if err != nil {
		return err
	}
	for i, state := range rest {
		head.States[namesAt[i]] = state
	}
	for i, entries := range restGauges {
		head.Gauges[othersAt[i]] = entries
	}
	fitFamilies(head.States)
	return nil
}

// readStates reads what ReadFamilies and ReadGauges return, in the same pipelines.
func (r *Redis) readStates(ctx context.Context, names, writers []string) ([]FamilyState, []GaugesReply, error) {
	if len(names)+len(writers) == 0 {
		return nil, nil, nil
	}
	gauges, room := make([]GaugesReply, len(writers)), roomForGauges
	entries, n := r.gaugeCalls(writers)
	lookups := r.newLookups(names, nil, 0)
	_, err := lookups.readWith(ctx, entries, false, false)
	if err := errors.Join(err, r.gaugesOf(ctx, writers[:n], entries, gauges[:n], &room)); err != nil {
		return nil, nil, err
	}
	for from := n; from < len(writers); from += n {
		entries, n = r.gaugeCalls(writers[from:])
		r.read(ctx, entries...)
		if err := r.gaugesOf(ctx, writers[from:from+n], entries, gauges[from:from+n], &room); err != nil {
			return nil, nil, err
		}
	}
	states := lookups.states()
	if err := r.readTorn(ctx, names, states); err != nil {
		return nil, nil, err
	}
	return states, gauges, nil
}

// readTorn reads registrations again that are of another generation than the values. A family's
// control hash and its values are read one after the other, and a new generation may have begun in
// between.
func (r *Redis) readTorn(ctx context.Context, names []string, states []FamilyState) error {
	for i, name := range names {
		if !errors.Is(states[i].Err, ErrGeneration) {
			continue
		}
		lookup := r.newLookups([]string{name}, nil, 0)
		if _, err := lookup.readAll(ctx, false); err != nil {
			return fmt.Errorf("family %s: %w", QuoteName(name), err)
		}
		states[i] = lookup.states()[0]
	}
	return nil
}

// ReadFamilies implements [Store].
func (r *Redis) ReadFamilies(ctx context.Context, names []string) ([]FamilyState, error) {
	states, _, err := r.readStates(ctx, names, nil)
	fitFamilies(states)
	return states, err
}

// ReadGauges implements [Store]. If one writer's key is of another type, the gauges of the
// others are read all the same.
func (r *Redis) ReadGauges(ctx context.Context, writers []string) ([]GaugesReply, error) {
	_, gauges, err := r.readStates(ctx, nil, writers)
	return gauges, err
}
