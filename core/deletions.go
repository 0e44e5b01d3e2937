// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"slices"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// deletions are the deletions of a family that wait for the writer goroutine, each
// once. In which order they were asked for does not matter: nothing is sent between
// two of them. The zero value is empty.
type deletions struct {
	asked   int64               // when the newest of them was asked for, by monotonicNow
	all     bool                // of every series; then there are no others
	fields  map[string]bool     // of single series
	matches map[string]Labels   // of every series with these labels; by matchKey
	names   map[string][]string // each set of label names in matches, sorted; by the joined names
}

func (r *deletions) len() int {
	n := len(r.fields) + len(r.matches)
	if r.all {
		n++
	}
	return n
}

func (r *deletions) addAll() bool {
	*r = deletions{all: true, asked: monotonicNow()}
	return true
}

// addField adds the deletion of a series, unless limit others wait. It reports whether
// the series will be deleted.
func (r *deletions) addField(field string, limit int) (added bool) {
	switch {
	case r.all || r.fields[field]:
		return true
	case r.len() >= limit:
		return false
	case r.fields == nil:
		r.fields = map[string]bool{}
	}
	r.fields[field], r.asked = true, monotonicNow()
	return true
}

// addMatch is addField for the series with these labels.
func (r *deletions) addMatch(match Labels, limit int) (added bool) {
	names := slices.Sorted(maps.Keys(match))
	key := matchKey(names, func(name string) string { return match[name] })
	switch {
	case r.all || r.matches[key] != nil:
		return true
	case r.len() >= limit:
		return false
	case r.matches == nil:
		r.matches, r.names = map[string]Labels{}, map[string][]string{}
	}
	r.matches[key], r.asked = match, monotonicNow()
	r.names[strings.Join(names, wire.Separator)] = names
	return true
}

// cover says whether one of them deletes the series with this field.
func (r *deletions) cover(field string) bool {
	return r.all || r.fields[field] || r.matchField(field)
}

// matchField says whether one of matches deletes the series with this field. Its time
// grows with the number of sets of label names, not of matches.
func (r *deletions) matchField(field string) bool {
	if len(r.matches) == 0 {
		return false
	}
	labels, err := wire.DecodeField(field)
	if err != nil {
		return false
	}
	value := func(name string) string { return valueOf(labels, name) }
	for _, names := range r.names {
		if r.matches[matchKey(names, value)] != nil {
			return true
		}
	}
	return false
}

// matchKey tells sets of labels apart.
func matchKey(names []string, value func(name string) string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name)
		b.WriteString(wire.Separator)
		b.WriteString(value(name))
		b.WriteString(wire.Separator)
	}
	return b.String()
}

// fieldMatches says whether a stored field has all these labels.
func fieldMatches(field string, match Labels) bool {
	labels, err := wire.DecodeField(field)
	if err != nil {
		return false
	}
	for name, want := range match {
		if valueOf(labels, name) != want {
			return false
		}
	}
	return true
}

// valueOf gives the value of a label: an absent one equals an empty one.
func valueOf(labels []wire.Label, name string) string {
	for _, l := range labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}
