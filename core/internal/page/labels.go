// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// labelSets are the labels of a family's series, ordered as the page shows
// them. They are written as text and built as protobuf once, when a page first
// needs that, and kept as long as the series are known: so a scrape does no label
// work, and a format that no scraper asks for takes no memory.
type labelSets struct {
	// The labels are in fields, as stored, to be decoded when needed; or else in
	// decoded.
	fields  []string
	decoded [][]wire.Label
	// Or they are those of base, and one more where a series has none of its name.
	base  *labelSets
	extra wire.Label

	labelled atomic.Pointer[labelSets] // these with the extra label that was asked for last
	making   sync.Mutex                // held while written or built is made
	written  atomic.Pointer[writtenLabels]
	built    atomic.Pointer[[][]*dto.LabelPair]
}

// writtenLabels are labels in the text format, without braces.
type writtenLabels struct {
	texts []string
	size  int // of all texts
}

func (s *labelSets) len() int {
	if s.base != nil {
		return s.base.len()
	}
	return max(len(s.fields), len(s.decoded))
}

// with returns the label sets with one more label. It is kept for the next page.
func (s *labelSets) with(extra wire.Label) *labelSets {
	if l := s.labelled.Load(); l != nil && l.extra == extra {
		return l
	}
	l := &labelSets{base: s, extra: extra}
	s.labelled.Store(l)
	return l
}

// appendLabels appends the labels of the series i, ordered by name.
func (s *labelSets) appendLabels(dst []wire.Label, i int) []wire.Label {
	if s.base != nil {
		from := len(dst)
		dst = s.base.appendLabels(dst, i)
		at, has := slices.BinarySearchFunc(dst[from:], s.extra.Name, func(l wire.Label, name string) int { return cmp.Compare(l.Name, name) })
		if has {
			return dst
		}
		return slices.Insert(dst, from+at, s.extra)
	}
	if s.decoded != nil {
		return append(dst, s.decoded[i]...)
	}
	labels, _ := wire.DecodeField(s.fields[i]) // known to be a label set
	return append(dst, labels...)
}

// texts returns the labels of all series in the text format.
func (s *labelSets) texts() *writtenLabels {
	if w := s.written.Load(); w != nil {
		return w
	}
	s.making.Lock()
	defer s.making.Unlock()
	if w := s.written.Load(); w != nil {
		return w
	}
	w := &writtenLabels{texts: make([]string, s.len())}
	w.write(s, everyPlace(s.len()))
	s.written.Store(w)
	return w
}

// text returns the labels of the series i in the text format, without braces.
func (s *labelSets) text(i int) string { return s.texts().texts[i] }

// write writes the labels of some series, in one piece of memory.
func (w *writtenLabels) write(s *labelSets, places iter.Seq[int]) {
	var buf []byte
	var labels []wire.Label
	var ends []int
	for i := range places {
		labels = s.appendLabels(labels[:0], i)
		for n, l := range labels {
			if n > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, l.Name...)
			buf = append(buf, `="`...)
			buf = appendEscaped(buf, l.Value, true)
			buf = append(buf, '"')
		}
		ends = append(ends, len(buf))
	}
	text, from, n := string(buf), 0, 0
	for i := range places {
		w.texts[i] = text[from:ends[n]]
		from = ends[n]
		n++
	}
	w.size += len(text)
}

// pairs returns the labels of all series as protobuf.
func (s *labelSets) pairs() [][]*dto.LabelPair {
	if b := s.built.Load(); b != nil {
		return *b
	}
	s.making.Lock()
	defer s.making.Unlock()
	if b := s.built.Load(); b != nil {
		return *b
	}
	pairs := make([][]*dto.LabelPair, s.len())
	s.build(pairs, everyPlace(s.len()))
	s.built.Store(&pairs)
	return pairs
}

// build builds the labels of some series, in few allocations: one by one, they would take
// several for every label.
func (s *labelSets) build(into [][]*dto.LabelPair, places iter.Seq[int]) {
	var all []wire.Label
	var ends []int
	for i := range places {
		all = s.appendLabels(all, i)
		ends = append(ends, len(all))
	}
	all = slices.Clip(all)
	pairs := make([]dto.LabelPair, len(all))
	pointers := make([]*dto.LabelPair, len(all))
	for i := range all {
		pairs[i].Name, pairs[i].Value = &all[i].Name, &all[i].Value
		pointers[i] = &pairs[i]
	}
	from, n := 0, 0
	for i := range places {
		if to := ends[n]; to > from {
			into[i] = pointers[from:to:to]
		}
		from = ends[n]
		n++
	}
}

// everyPlace yields the numbers below n.
func everyPlace(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

var errReserved = errors.New("a reserved label")

// pageLabels reads the labels of a stored field of a family of this type. A label that has a
// meaning of its own on the page is an error.
func pageLabels(kind, field string) ([]wire.Label, error) {
	labels, err := wire.DecodeField(field)
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		if wire.IsReservedLabel(kind, l.Name) {
			return nil, &wire.StoredError{What: "field", Text: field, Part: l.Name, Why: errReserved}
		}
	}
	return labels, nil
}

// compareLabels orders label sets by the first pair in which they differ.
func compareLabels(a, b []wire.Label) int {
	return slices.CompareFunc(a, b, func(x, y wire.Label) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value))
	})
}
