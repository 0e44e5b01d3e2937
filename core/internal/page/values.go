// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// valuesReading reads the values of the shared families. Each step finds the series of
// some families, and leaves those of others to the next.
type valuesReading struct {
	*Reader
	families []storedFamily
	head     wire.Head
	room     int // bytes that may still be read. A family takes at most half of them, so that none pushes all others off

	// Places in families.
	changed []int            // whose series are known, or partly scanned, as of an earlier version
	unknown []int            // to be scanned
	later   map[int][]string // the fields of series that have changed since the scan began

	starts []startsOf // still to be read
}

// readValues reads the values of all shared families, and then the lineage.
func (r *Reader) readValues(ctx context.Context, families []storedFamily, head wire.Head) (lineage string, err error) {
	v := &valuesReading{Reader: r, families: families, head: head, room: wire.MaxPage - r.index.size(), later: map[int][]string{}}
	v.recall()
	for _, step := range []func(context.Context) error{v.followChanges, v.scan, v.readStarts} {
		if err := step(ctx); err != nil {
			return "", err
		}
	}
	return v.readKnown(ctx)
}

// recall takes the series of the families from the index.
func (v *valuesReading) recall() {
	for i := range v.families {
		f := &v.families[i]
		if !f.state.Shared() {
			continue // its values are with the writers' gauges
		}
		known, scan := v.index.families[f.name], v.index.scans[f.name]
		told := f.state.SeriesVersion != "" // else it is damaged, and equal ones mean nothing
		// Where Redis does not tell the lineage, a failover within a reading goes
		// unseen: then what is remembered is not believed for long. Nor is what is remembered
		// of another type, although no process changes the type without a new generation.
		unsure := v.head.Lineage == "" && known != nil && time.Since(known.scanned) >= v.recovery.bound()
		if known != nil && (unsure || known.kind != f.state.Type) {
			v.forget(f)
			known = nil
		}
		switch {
		case known == nil && (scan == nil || told && scan.version == f.state.SeriesVersion):
			v.unknown = append(v.unknown, i)
		case known == nil || !told || known.version != f.state.SeriesVersion:
			v.changed = append(v.changed, i)
		default:
			f.series = known
		}
	}
}

// forget makes the family one to be scanned from its beginning.
func (v *valuesReading) forget(f *storedFamily) {
	if known := v.index.families[f.name]; known != nil {
		v.room += known.size
		delete(v.index.families, f.name)
	}
	delete(v.index.scans, f.name)
}

// followChanges asks which series have changed since an earlier version.
func (v *valuesReading) followChanges(ctx context.Context) error {
	if len(v.changed) == 0 {
		return nil
	}
	queries := make([]wire.ChangesQuery, len(v.changed))
	for n, i := range v.changed {
		f := &v.families[i]
		queries[n] = wire.ChangesQuery{Family: f.name, Now: f.state.SeriesVersion}
		if known := v.index.families[f.name]; known != nil {
			queries[n].Since = known.version
		} else {
			queries[n].Since = v.index.scans[f.name].version
		}
	}
	replies, err := v.store.ReadChanges(ctx, queries)
	if err != nil {
		return err
	}
	for n, i := range v.changed {
		f, reply := &v.families[i], replies[n]
		known := v.index.families[f.name]
		switch {
		case reply.Known && known == nil:
			v.later[i] = reply.Fields
			v.unknown = append(v.unknown, i)
		default:
			var series *seriesIndex
			var places []int
			if reply.Known {
				series, places = known.after(f.state.SeriesVersion, reply.Fields)
			}
			if series == nil {
				v.forget(f)
				v.unknown = append(v.unknown, i)
				continue
			}
			v.room += known.size - series.size
			f.series, f.fresh = series, true
			v.starts = append(v.starts, startsOf{f, places})
		}
	}
	return nil
}

// scan reads all series of the unknown families, except of those that were just found not to
// fit. What was found before an error stays in the index, so that the next reading goes on.
func (v *valuesReading) scan(ctx context.Context) error {
	var scans []*wire.Scan
	for _, i := range v.unknown {
		f := &v.families[i]
		switch {
		case v.index.isTooLarge(f.name):
			v.omit(f.name, wire.ErrTooLarge)
			continue
		case v.index.scans[f.name] == nil:
			v.index.scans[f.name] = &scanOf{
				Scan: &wire.Scan{Family: f.name}, generation: f.state.Generation, version: f.state.SeriesVersion,
			}
		}
		scans = append(scans, v.index.scans[f.name].Scan)
	}
	if len(scans) == 0 {
		return nil
	}
	if err := v.store.Scan(ctx, scans, v.room); err != nil {
		return err
	}
	for _, i := range v.unknown {
		f := &v.families[i]
		scan := v.index.scans[f.name]
		if scan == nil {
			continue
		}
		if scan.Err != nil {
			delete(v.index.scans, f.name)
			v.omit(f.name, scan.Err)
			continue
		}
		series, values, err := indexSeries(ctx, v.observer, f.name, f.state.Type, scan.Series)
		if err != nil {
			return err
		}
		series.generation, series.version = scan.generation, scan.version
		v.room -= series.size
		if scan.earlier {
			values = nil // they are old
		}
		if changed := v.later[i]; changed != nil {
			if series, _ = series.after(f.state.SeriesVersion, changed); series == nil {
				delete(v.index.scans, f.name)
				return &RecoveringError{cause: "series changed while they were scanned", wait: "they are scanned again"}
			}
		}
		f.series, f.values, f.fresh = series, values, true
		v.starts = append(v.starts, startsOf{f, nil})
	}
	return nil
}

// readKnown reads the values that were not scanned, and then the lineage. It fails if Redis
// lost the values of a family meanwhile.
func (v *valuesReading) readKnown(ctx context.Context) (lineage string, err error) {
	expected := make(map[string]wire.SeriesReply, len(v.head.Series))
	for i, reply := range v.head.Series {
		expected[v.expected.Series[i].Family] = reply
	}
	var queries []wire.SeriesQuery
	var asked []*storedFamily
	lineage = v.head.After
	for i := range v.families {
		f := &v.families[i]
		if f.series == nil {
			continue
		}
		if reply, ok := expected[f.name]; ok && !f.fresh {
			v.room -= reply.Texts
			if err := v.took(f, reply); err != nil {
				return "", err
			}
			continue
		}
		query := f.series.query(f.name)
		if f.values != nil {
			query.Fields, query.Texts = nil, 0
		}
		queries, asked = append(queries, query), append(asked, f)
	}
	if len(queries) == 0 && v.head.Series != nil {
		return lineage, nil
	}
	replies, lineage, err := v.store.ReadSeries(ctx, queries, v.room)
	if err != nil {
		return "", err
	}
	for n, f := range asked {
		if err := v.took(f, replies[n]); err != nil {
			return "", err
		}
	}
	return lineage, nil
}

// took takes in the reply to a family's query.
func (v *valuesReading) took(f *storedFamily, reply wire.SeriesReply) error {
	switch {
	case errors.Is(reply.Err, wire.ErrGeneration):
		return &RecoveringError{cause: "Redis lost something while the page was read", wait: "it is read again"}
	case reply.Err != nil:
		v.omit(f.name, reply.Err)
		v.forget(f)
		f.series, f.values = nil, nil
	case f.values == nil:
		f.values, f.series.texts = reply.Values, reply.Texts
	}
	return nil
}
