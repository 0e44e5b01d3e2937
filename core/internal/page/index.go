// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// index is what a reader remembers between two readings.
type index struct {
	lineage  string // in which all of it was read
	families map[string]*seriesIndex
	scans    map[string]*scanOf   // of families that are not in families
	tooLarge map[string]time.Time // families that did not fit, and when that was found
}

// scanOf is a scan of a family, which was perhaps cut, and the seriesVersion before it.
type scanOf struct {
	*wire.Scan
	generation string
	version    string
	earlier    bool // it began in an earlier reading
}

// seriesIndex are the series of a family, ordered as the page shows them, so that a
// reading asks for their values by name and neither parses nor sorts labels again.
type seriesIndex struct {
	generation string
	kind       string // the type of the family, which decides which labels are reserved
	// version is the family's seriesVersion before it was scanned, or that up to which changes
	// were taken in. Later changes may be in it as well, or parts of them: the next reading
	// learns that they took place, and takes all of them in.
	version   string
	scanned   time.Time
	size      int        // what the series take of the bytes that are read for a page
	texts     int        // how many bytes their values had the last time
	labelText int        // how long their labels are as text
	labels    *labelSets // of fields
	absent    []int      // places of series that the last reading did not find, if there were changes in it
	merged    int        // how many changes were taken in since the scan
	// joined says of each series whether it means the same labels as the next
	// one; nil if none does.
	joined []bool
	// starts tells of each series when it began, in microseconds of Redis's clock, and 0
	// where that is not known; nil if it is known of none. Of joined series, the last has
	// the earliest start of them, and 0 if one of them has no start.
	starts []int64
}

// sameAsNext says whether the series i means the same labels as the next one.
func (s *seriesIndex) sameAsNext(i int) bool { return i < len(s.joined) && s.joined[i] }

// retryTooLarge is how long a family that did not fit into a page is omitted before
// its series are read again: to find out that they do not fit takes about as long as
// to read all other families.
const retryTooLarge = 5 * time.Minute

// keep forgets all families but these, and everything if Redis has another lineage: in that,
// the same version may be of other series.
func (x *index) keep(families []storedFamily, lineage string) {
	kept := index{lineage, make(map[string]*seriesIndex, len(families)), map[string]*scanOf{}, map[string]time.Time{}}
	for i := range families {
		f := &families[i]
		if known := x.families[f.name]; known != nil && x.lineage == lineage {
			kept.families[f.name] = known
		}
		if scan := x.scans[f.name]; scan != nil && x.lineage == lineage && lineage != "" && scan.generation == f.state.Generation {
			scan.earlier = true
			kept.scans[f.name] = scan
		}
		if at, ok := x.tooLarge[f.name]; ok && time.Since(at) < retryTooLarge {
			kept.tooLarge[f.name] = at
		}
	}
	*x = kept
}

// remember keeps the series of families for later readings. Call it only when the reading
// turned out to be of one history: see the package documentation.
func (x *index) remember(families []storedFamily) {
	for i := range families {
		if f := &families[i]; f.series != nil {
			if f.fresh {
				f.series.noteAbsent(f.values)
			}
			x.families[f.name] = f.series
			delete(x.scans, f.name)
		}
	}
}

// expected is what the next reading is likely to ask for.
func (x *index) expected(app wire.AppState) wire.Expected {
	expected := wire.Expected{App: app, Room: wire.MaxPage - x.size()}
	for _, name := range app.Families {
		if s := x.families[name]; s != nil {
			expected.Series = append(expected.Series, s.query(name))
		}
	}
	return expected
}

// query asks for the values of all series.
func (s *seriesIndex) query(family string) wire.SeriesQuery {
	return wire.SeriesQuery{Family: family, Generation: s.generation, Fields: s.labels.fields, Texts: s.texts}
}

// size is what all series take of the bytes that are read for a page.
func (x *index) size() (size int) {
	for _, s := range x.families {
		size += s.size
	}
	return size
}

// noteTooLarge notes when it was found that a family does not fit.
func (x *index) noteTooLarge(name string) {
	if !x.isTooLarge(name) {
		x.tooLarge[name] = time.Now()
	}
}

func (x *index) isTooLarge(name string) bool {
	_, known := x.tooLarge[name]
	return known
}

// endedEvery is how many series of a page are made between two looks whether its time is
// over.
const endedEvery = 256

// indexSeries orders the series of a family of this type by their labels. What is no label set is
// omitted and reported. The error is that of the context.
func indexSeries(ctx context.Context, observer Observer, name, kind string, stored []wire.Series) (*seriesIndex, []wire.SeriesValue, error) {
	type entry struct {
		wire.Series
		labels []wire.Label
	}
	entries := make([]entry, 0, len(stored))
	s := &seriesIndex{kind: kind, scanned: time.Now()}
	for i, e := range stored {
		if i%endedEvery == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		s.size += wire.Cost(e.Field, "")
		s.texts += len(e.Text)
		labels, err := pageLabels(kind, e.Field)
		if err != nil {
			observer.OmittedValues(name, 1, err)
			continue
		}
		s.labelText += labelLength(e.Field) + escapes(e.Field)
		entries = append(entries, entry{e, labels})
	}
	compared := 0
	slices.SortFunc(entries, func(a, b entry) int {
		if compared++; compared%endedEvery == 0 && ctx.Err() != nil || compared < 0 {
			compared = math.MinInt // from now on nothing is compared
			return 0
		}
		return cmp.Or(compareLabels(a.labels, b.labels), cmp.Compare(a.Field, b.Field))
	})
	if compared < 0 {
		return nil, nil, ctx.Err()
	}
	s.labels = &labelSets{fields: make([]string, len(entries))}
	values := make([]wire.SeriesValue, len(entries))
	for i, e := range entries {
		s.labels.fields[i] = e.Field
		values[i] = wire.SeriesValue{Text: e.Text, Found: true}
		if i > 0 && compareLabels(entries[i-1].labels, e.labels) == 0 {
			if s.joined == nil {
				s.joined = make([]bool, len(entries))
			}
			s.joined[i-1] = true
		}
	}
	return s, values, nil
}
