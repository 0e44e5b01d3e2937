// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
)

// ReadHead implements [Store]. One server is asked for everything in one
// pipeline, which it executes in its order. The servers of a Cluster have no
// order among them, so there nothing is guessed: a family that was looked up
// before its writer brought something back, and a lease read after the writer
// said so, would not belong together.
func (r *Redis) ReadHead(ctx context.Context, last AppState) (Head, error) {
	var head Head
	var err error
	if !r.oneServer {
		if head.Lineage, err = r.Lineage(ctx); err != nil {
			return Head{}, err
		}
		last = AppState{}
	}
	families := last.Families[:min(len(last.Families), familiesPerLookup)]
	leases := last.Leases[:min(len(last.Leases), pipelinedWriters)]
	app := r.appCall()
	calls := []*call{app}
	var info *call
	if r.oneServer {
		info = &call{command: "info", args: []any{"replication"}}
		calls = []*call{info, app}
	}
	lookups := r.familyCalls(families)
	entries := r.gaugeCalls(writersOf(leases))
	r.run(ctx, append(append(calls, lookups...), entries...)...)

	if info != nil {
		text, err := info.cmd.Text()
		if head.Lineage, err = lineageOf([]string{text}, err); err != nil {
			return Head{}, err
		}
	}
	if head.App, err = appState(app); err != nil {
		return Head{}, err
	}
	states := make([]FamilyState, len(families))
	if err := familyStates(lookups, states); err != nil {
		return Head{}, err
	}
	gauges := make([][]Series, len(leases))
	if err := gaugesOf(entries, gauges); err != nil {
		return Head{}, err
	}
	if err := r.completeHead(ctx, &head, families, states, leases, gauges); err != nil {
		return Head{}, err
	}
	return head, nil
}

// completeHead puts what was read by guess in its place and reads what was not.
func (r *Redis) completeHead(ctx context.Context, head *Head, families []string, states []FamilyState, leases []Lease, gauges [][]Series) error {
	guessed := make(map[string]int, len(families))
	for i, name := range families {
		guessed[name] = i + 1
	}
	head.States = make([]FamilyState, len(head.App.Families))
	var names []string
	var places []int
	for i, name := range head.App.Families {
		if g := guessed[name]; g > 0 && !errors.Is(states[g-1].Err, errGeneration) {
			head.States[i] = states[g-1]
		} else {
			names, places = append(names, name), append(places, i)
		}
	}
	if len(names) > 0 {
		rest, err := r.ReadFamilies(ctx, names)
		if err != nil {
			return err
		}
		for i, state := range rest {
			head.States[places[i]] = state
		}
	}

	clear(guessed)
	for i, lease := range leases {
		guessed[lease.Writer] = i + 1
	}
	head.Gauges = make([][]Series, len(head.App.Leases))
	names, places = names[:0], places[:0]
	for i, lease := range head.App.Leases {
		if g := guessed[lease.Writer]; g > 0 {
			head.Gauges[i] = gauges[g-1]
		} else {
			names, places = append(names, lease.Writer), append(places, i)
		}
	}
	rest, err := r.ReadGauges(ctx, names)
	if err != nil {
		return err
	}
	for i, entries := range rest {
		head.Gauges[places[i]] = entries
	}
	return nil
}

func writersOf(leases []Lease) []string {
	writers := make([]string, len(leases))
	for i, l := range leases {
		writers[i] = l.Writer
	}
	return writers
}
