// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// after returns the index of a later seriesVersion, given the fields of all series that came,
// went, or began at another time since this one. Each of them has a place in it, which the
// result lists, whether it exists or not: that turns out when the values are read. When it began
// is not known there. Series that the last reading did not find have none, unless they have
// changed since.
//
// It copies some words for each series, and does more only for those that have changed. It
// returns nil if the family is to be scanned instead: if several fields mean the same labels,
// if a field is no label set, or if most of what is kept of labels would be of series that
// are gone.
func (s *seriesIndex) after(version string, changed []string) (next *seriesIndex, places []int) {
	if s.joined != nil || s.merged+len(changed) > s.labels.len() {
		return nil, nil
	}
	places = make([]int, 0, len(changed))
	next = &seriesIndex{
		version: version, generation: s.generation, kind: s.kind, scanned: s.scanned, merged: s.merged + len(changed),
		size: s.size, texts: s.texts, labelText: s.labelText,
	}
	known, added, ok := s.locate(changed)
	if !ok {
		return nil, nil
	}
	gone := slices.DeleteFunc(slices.Clone(s.absent), func(at int) bool {
		_, changed := slices.BinarySearch(known, at)
		return changed
	})
	n := s.labels.len() + len(added) - len(gone)
	fields := make([]string, 0, n)
	from := make([]int, 0, n) // the place in s of each place in next; -1 for those that are added
	for i := 0; ; i++ {
		for ; len(added) > 0 && added[0].at == i; added = added[1:] {
			places = append(places, len(fields))
			fields, from = append(fields, added[0].field), append(from, -1)
			next.count(added[0].field, 1)
		}
		if i == s.labels.len() {
			break
		}
		field := s.labels.fields[i]
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
			next.count(field, -1)
			continue
		}
		if len(known) > 0 && known[0] == i {
			known = known[1:]
			places = append(places, len(fields))
		}
		fields, from = append(fields, field), append(from, i)
	}
	next.labels = s.labels.after(fields, from)
	if s.starts != nil {
		next.starts = make([]int64, len(from))
		next.size += startSize * (len(next.starts) - len(s.starts))
		for i, at := range from {
			if at >= 0 {
				next.starts[i] = s.starts[at]
			}
		}
		for _, i := range places { // not known until it is read
			next.starts[i] = 0
		}
	}
	return next, places
}

// count adds a field to the sizes, or with -1 subtracts it.
func (s *seriesIndex) count(field string, sign int) {
	s.size += sign * wire.Cost(field, "")
	s.labelText += sign * (labelLength(field) + escapes(field))
}

// addition is a field that is not in an index yet.
type addition struct {
	field  string
	labels []wire.Label
	at     int // the place before which it belongs
}

// locate returns the places of the fields that are in the index, and those that are not, both
// in order. It returns false if a field is no label set, or means the same labels as another.
func (s *seriesIndex) locate(fields []string) (known []int, added []addition, ok bool) {
	for _, field := range fields {
		labels, err := pageLabels(s.kind, field)
		if err != nil {
			return nil, nil, false
		}
		at, found := slices.BinarySearchFunc(s.labels.fields, labels, func(field string, labels []wire.Label) int {
			other, _ := wire.DecodeField(field) // known to be a label set
			return compareLabels(other, labels)
		})
		switch {
		case !found:
			added = append(added, addition{field, labels, at})
		case s.labels.fields[at] != field:
			return nil, nil, false
		default:
			known = append(known, at)
		}
	}
	slices.Sort(known)
	slices.SortFunc(added, func(a, b addition) int { return compareLabels(a.labels, b.labels) })
	for i := range added[min(1, len(added)):] {
		if compareLabels(added[i].labels, added[i+1].labels) == 0 {
			return nil, nil, false
		}
	}
	return slices.Compact(known), added, true
}

// noteAbsent notes which series the reading of the values did not find.
func (s *seriesIndex) noteAbsent(values []wire.SeriesValue) {
	s.absent = nil
	for i, v := range values {
		if !v.Found {
			s.absent = append(s.absent, i)
		}
	}
}

// noteStartsAt notes when the series at these places began.
func (s *seriesIndex) noteStartsAt(places []int, starts []int64) {
	for i, at := range places {
		if s.starts == nil && starts[i] != 0 {
			s.starts = make([]int64, s.labels.len())
			s.size += startSize * len(s.starts)
		}
		if s.starts != nil {
			s.starts[at] = starts[i]
		}
	}
}

// after returns the label sets of fields. from tells the place of each in s, or -1.
func (s *labelSets) after(fields []string, from []int) *labelSets {
	next := &labelSets{fields: fields}
	s.handTo(next, from)
	if l := s.labelled.Load(); l != nil {
		l.handTo(next.with(l.extra), from)
	}
	return next
}

// handTo hands what was made of label sets to others, to which it adds what is new in them.
func (s *labelSets) handTo(next *labelSets, from []int) {
	added := func(yield func(int) bool) {
		for i, at := range from {
			if at < 0 && !yield(i) {
				return
			}
		}
	}
	if old := s.written.Load(); old != nil {
		w := &writtenLabels{texts: make([]string, len(from))}
		for i, at := range from {
			if at >= 0 {
				w.texts[i] = old.texts[at]
				w.size += len(old.texts[at])
			}
		}
		w.write(next, added)
		next.written.Store(w)
	}
	if old := s.built.Load(); old != nil {
		pairs := make([][]*dto.LabelPair, len(from))
		for i, at := range from {
			if at >= 0 {
				pairs[i] = (*old)[at]
			}
		}
		next.build(pairs, added)
		next.built.Store(&pairs)
	}
}
