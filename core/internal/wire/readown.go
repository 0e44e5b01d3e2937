// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"slices"
)

// OwnInParts reads what [Store].ReadOwn reads by one call for each of its parts.
func OwnInParts(ctx context.Context, s Store, writer string, families []string) (Head, error) {
	var head Head
	var err error
	if head.Lineage, err = s.Lineage(ctx); err != nil {
		return Head{}, err
	}
	if head.App, err = s.ReadApp(ctx); err != nil {
		return Head{}, err
	}
	states, err := s.ReadFamilies(ctx, families)
	if err != nil {
		return Head{}, err
	}
	gauges, err := s.ReadGauges(ctx, []string{writer})
	if err != nil {
		return Head{}, err
	}
	head.narrow(writer, families, states, gauges[0])
	return head, nil
}

// narrow puts into a head, which has the app's state, what was read of some families and of one
// writer, and takes out of it the names of all other families.
func (h *Head) narrow(writer string, families []string, states []FamilyState, gauges GaugesReply) {
	listed := make(map[string]bool, len(h.App.Families))
	for _, name := range h.App.Families {
		listed[name] = true
	}
	h.App.Families, h.States = nil, nil
	for i, name := range families {
		if listed[name] {
			h.App.Families, h.States = append(h.App.Families, name), append(h.States, states[i])
		}
	}
	h.Gauges = make([]GaugesReply, len(h.App.Leases))
	if i := slices.IndexFunc(h.App.Leases, func(l Lease) bool { return l.Writer == writer }); i >= 0 {
		h.Gauges[i] = gauges
	}
}

// ReadOwn implements [Store]. One server is asked in one pipeline, a Cluster for one part after the
// other: see ReadHead.
func (r *Redis) ReadOwn(ctx context.Context, writer string, families []string) (Head, error) {
	if !r.oneServer {
		return OwnInParts(ctx, r, writer, families)
	}
	info := &call{command: "info", args: []any{"replication"}}
	app := r.appCall()
	entries, _ := r.gaugeCalls([]string{writer})
	lookups := r.newLookups(families, nil, 0)
	_, errLookups := lookups.readWith(ctx, append([]*call{info, app}, entries...), true, false)

	var head Head
	text, err := info.cmd.Text()
	if head.Lineage, err = lineageOf([]string{text}, err); err != nil {
		return Head{}, err
	}
	if head.App, err = r.appState(ctx, app); err != nil {
		return Head{}, err
	}
	gauges, room := make([]GaugesReply, 1), roomForGauges
	if err := errors.Join(errLookups, r.gaugesOf(ctx, []string{writer}, entries, gauges, &room)); err != nil {
		return Head{}, err
	}
	states := lookups.states()
	if err := r.readTorn(ctx, families, states); err != nil {
		return Head{}, err
	}
	head.narrow(writer, families, states, gauges[0])
	fitFamilies(head.States)
	return head, nil
}
