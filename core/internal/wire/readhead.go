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
// order, for everything that the last head had. In a Cluster the order among servers is not
// fixed: a family might be read before its writer brings something back, and the lease after
// the writer has noted in it that nothing is missing. So there one part is read after the
// other.
func (r *Redis) ReadHead(ctx context.Context, last AppState) (Head, error) {
	if !r.oneServer {
		return HeadInParts(ctx, r)
	}
	families := last.Families[:min(len(last.Families), familiesPerLookup)]
	last.Leases = last.Leases[:min(len(last.Leases), pipelinedWriters)]
	writers := last.Writers()
	info := &call{command: "info", args: []any{"replication"}}
	app, lookups, entries := r.appCall(), r.familyCalls(families), r.gaugeCalls(writers)
	r.run(ctx, append(append([]*call{info, app}, lookups...), entries...)...)

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

	// Put what was read in its place, and read what the last head did not have.
	var missing []string
	var places []int
	known := make(map[string]FamilyState, len(families))
	for i, name := range families {
		known[name] = states[i]
	}
	head.States = make([]FamilyState, len(head.App.Families))
	for i, name := range head.App.Families {
		state, found := known[name]
		if head.States[i] = state; !found || errors.Is(state.Err, errGeneration) {
			missing, places = append(missing, name), append(places, i)
		}
	}
	rest, err := r.ReadFamilies(ctx, missing)
	if err != nil {
		return Head{}, err
	}
	for i, state := range rest {
		head.States[places[i]] = state
	}

	missing, places = nil, nil
	living := make(map[string]GaugesReply, len(writers))
	for i, writer := range writers {
		living[writer] = gauges[i]
	}
	head.Gauges = make([]GaugesReply, len(head.App.Leases))
	for i, writer := range head.App.Writers() {
		entries, found := living[writer]
		if head.Gauges[i] = entries; !found {
			missing, places = append(missing, writer), append(places, i)
		}
	}
	others, err := r.ReadGauges(ctx, missing)
	if err != nil {
		return Head{}, err
	}
	for i, entries := range others {
		head.Gauges[places[i]] = entries
	}
	return head, nil
}
