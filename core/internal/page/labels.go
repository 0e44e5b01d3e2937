// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"slices"
	"sync"

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

	written struct {
		sync.Once
		text string // all of them, as text
		ends []int  // where the first begins, and where each ends
	}
	built struct {
		sync.Once
		pairs [][]*dto.LabelPair
	}
}

func (s *labelSets) len() int { return max(len(s.fields), len(s.decoded)) }

// appendLabels appends the labels of the series i, ordered by name.
func (s *labelSets) appendLabels(dst []wire.Label, i int) []wire.Label {
	if s.decoded != nil {
		return append(dst, s.decoded[i]...)
	}
	labels, _ := wire.DecodeField(s.fields[i]) // known to be a label set
	return append(dst, labels...)
}

// text returns the labels of the series i in the text format, without braces.
func (s *labelSets) text(i int) string {
	s.written.Do(s.write)
	return s.written.text[s.written.ends[i]:s.written.ends[i+1]]
}

// textSize returns how long all of them are.
func (s *labelSets) textSize() int {
	s.written.Do(s.write)
	return len(s.written.text)
}

func (s *labelSets) write() {
	var buf []byte
	var labels []wire.Label
	s.written.ends = make([]int, s.len()+1)
	for i := range s.len() {
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
		s.written.ends[i+1] = len(buf)
	}
	s.written.text = string(buf)
}

// pairs returns the labels of all series as protobuf, made in few allocations: one
// by one, they would take several for every label.
func (s *labelSets) pairs() [][]*dto.LabelPair {
	b := &s.built
	b.Do(func() {
		var all []wire.Label
		ends := make([]int, s.len())
		for i := range ends {
			all = s.appendLabels(all, i)
			ends[i] = len(all)
		}
		all = slices.Clip(all)
		pairs := make([]dto.LabelPair, len(all))
		pointers := make([]*dto.LabelPair, len(all))
		for i := range all {
			pairs[i].Name, pairs[i].Value = &all[i].Name, &all[i].Value
			pointers[i] = &pairs[i]
		}
		b.pairs = make([][]*dto.LabelPair, len(ends))
		from := 0
		for i, to := range ends {
			if to > from {
				b.pairs[i] = pointers[from:to:to]
			}
			from = to
		}
	})
	return b.pairs
}

var errReserved = errors.New("a reserved label")

// pageLabels reads the labels of a stored field. A label that has a meaning of its
// own on the page is an error.
func pageLabels(field string) ([]wire.Label, error) {
	labels, err := wire.DecodeField(field)
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		if wire.IsReservedLabel(l.Name) {
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
