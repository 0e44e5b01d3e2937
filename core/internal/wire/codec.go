// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Separator stands between label names and values in a stored field. No valid UTF-8 text
// has this byte, so neither needs escaping.
const Separator = "\xff"

// GenerationField is the one field of a family's values that is no series. It repeats the
// generation of the control hash. If the two differ, one of the keys was lost, or somebody
// else wrote it.
const GenerationField = "\xfe"

// TotalMark begins the field of a series in a gauge of mode total. When a deploy changes the
// mode between total and latest, old and new processes write to one hash. Because of the
// mark, they do not overwrite each other's series. No valid UTF-8 text has this byte.
const TotalMark = "\xfd"

// IsTotal says whether a field is that of a series of mode total.
func IsTotal(field string) bool { return strings.HasPrefix(field, TotalMark) }

// The components of summaries and histograms, besides the bounds of buckets.
const (
	ComponentSum   = "sum"
	ComponentCount = "count" // summaries only: a histogram's is derived
)

// Label is one name and value of a series.
type Label struct {
	Name, Value string
}

// EncodeField returns the field of a series: its labels ordered by name, without those that
// have an empty value, which Prometheus takes for absent. The slices run parallel and are
// not changed. The field of the series without labels is empty.
func EncodeField(names, values []string) string {
	order := make([]int, 0, len(names))
	size := 0
	for i, v := range values {
		if v != "" {
			order = append(order, i)
			size += len(names[i]) + len(v) + 2
		}
	}
	sort.Slice(order, func(a, b int) bool { return names[order[a]] < names[order[b]] })
	var b strings.Builder
	b.Grow(size)
	for n, i := range order {
		if n > 0 {
			b.WriteString(Separator)
		}
		b.WriteString(names[i])
		b.WriteString(Separator)
		b.WriteString(values[i])
	}
	return b.String()
}

// FieldValues returns the values that a field of [EncodeField] has for names, parallel to
// them. They share the field's memory.
func FieldValues(field string, names []string) []string {
	values := make([]string, len(names))
	for rest := strings.TrimPrefix(field, TotalMark); rest != ""; {
		var name, value string
		name, rest, _ = strings.Cut(rest, Separator)
		value, rest, _ = strings.Cut(rest, Separator)
		if i := slices.Index(names, name); i >= 0 {
			values[i] = value
		}
	}
	return values
}

// DecodeField returns the labels of a field, ordered by name, and an error for a field that
// is no label set. It also reads what clients in other languages may write: labels in any
// order, and empty values. The mark of a total is not part of the labels.
func DecodeField(field string) ([]Label, error) {
	set := strings.TrimPrefix(field, TotalMark)
	if set == "" {
		return nil, nil
	}
	parts := strings.Split(set, Separator)
	if len(parts)%2 != 0 {
		return nil, &StoredError{What: "field", Text: field, Part: parts[len(parts)-1], Why: errNoValue}
	}
	labels := make([]Label, 0, len(parts)/2)
	for i := 0; i < len(parts); i += 2 {
		if !IsLabelName(parts[i]) {
			return nil, &StoredError{What: "field", Text: field, Part: parts[i], Why: errLabelName}
		}
		if !utf8.ValidString(parts[i+1]) {
			return nil, &StoredError{What: "field", Text: field, Part: parts[i+1], Why: errNotUTF8}
		}
		if parts[i+1] != "" {
			labels = append(labels, Label{parts[i], parts[i+1]})
		}
	}
	sort.Slice(labels, func(a, b int) bool { return labels[a].Name < labels[b].Name })
	for i := 1; i < len(labels); i++ {
		if labels[i].Name == labels[i-1].Name {
			return nil, &StoredError{What: "field", Text: field, Part: labels[i].Name, Why: errTwice}
		}
	}
	return labels, nil
}

// Fits says whether a page can show all components of a stored vector: a summary's, or else
// a histogram's.
func Fits(vector []Component, summary bool) bool {
	for _, c := range vector {
		switch {
		case c.Name == ComponentSum:
		case c.Value < 0, summary && c.Name != ComponentCount:
			return false
		case summary, c.Name == "+Inf":
		default:
			if _, err := ParseNumber(c.Name); err != nil {
				return false
			}
		}
	}
	return true
}

// GaugeField names one gauge among all those of a writer.
func GaugeField(family, field string) string {
	if field == "" {
		return family
	}
	return family + Separator + field
}

// SplitGaugeField undoes [GaugeField].
func SplitGaugeField(s string) (family, field string) {
	family, field, _ = strings.Cut(s, Separator)
	return family, field
}

// AppendNumber appends the text of f that reads back as f: whole numbers below 2^53 without
// a point, others in the shortest form. Negative zero becomes 0.
func AppendNumber(dst []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// FormatNumber is [AppendNumber] for a single number.
func FormatNumber(f float64) string {
	return string(AppendNumber(nil, f))
}

// FormatBound returns the canonical text of a bucket's upper bound: equal bounds must be
// one component.
func FormatBound(f float64) string {
	if f == 0 {
		f = 0 // negative zero
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// What is wrong with stored texts.
var (
	errNoValue   = errors.New("a label name without a value")
	errLabelName = errors.New("not a label name")
	errNotUTF8   = errors.New("not UTF-8")
	errTwice     = errors.New("a label that is there twice")
	errNoName    = errors.New("a number without a name")
	errNumber    = errors.New("not a number")
)

// ParseNumber reads a stored decimal number. Infinities, NaN, hexadecimal forms and
// underscores, which strconv.ParseFloat would read, are errors.
func ParseNumber(s string) (float64, error) {
	if n, ok := parseWhole(s); ok {
		return n, nil
	}
	if len(s) > MaxNumber {
		return 0, errNumber
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, errNumber
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errNumber
	}
	return f, nil
}

// parseWhole reads a number of up to 15 digits, as most are, in a third of the time that
// strconv.ParseFloat takes.
func parseWhole(s string) (float64, bool) {
	if s == "" || len(s) > 15 {
		return 0, false
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = 10*n + int64(c)
	}
	return float64(n), true
}

// Component is one number of a sparse vector. The one of a counter or a total gauge has an
// empty name.
type Component struct {
	Name  string
	Value float64
}

// AppendVector appends the text of a sparse vector: "name:number" pairs with single spaces
// between, or a bare number if the only name is empty.
func AppendVector(dst []byte, vector []Component) []byte {
	for i, c := range vector {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if c.Name != "" {
			dst = append(dst, c.Name...)
			dst = append(dst, ':')
		}
		dst = AppendNumber(dst, c.Value)
	}
	return dst
}

// ParseVector appends to dst the vector that a text of [AppendVector] has. The names share
// the text's memory.
func ParseVector(dst []Component, text string) ([]Component, error) {
	for rest := text; ; {
		pair, after, more := strings.Cut(rest, " ")
		name, number, named := strings.Cut(pair, ":")
		if !named {
			if rest != text || more {
				return nil, &StoredError{What: "vector", Text: text, Part: pair, Why: errNoName}
			}
			name, number = "", pair
		} else if name == "" {
			return nil, &StoredError{What: "vector", Text: text, Part: pair, Why: errNoName}
		}
		value, err := ParseNumber(number)
		if err != nil {
			return nil, &StoredError{What: "vector", Text: text, Part: number, Why: err}
		}
		dst = append(dst, Component{name, value})
		if !more {
			return dst, nil
		}
		rest = after
	}
}

// Clamp keeps a sum finite: an infinity would stay in Redis for ever.
func Clamp(v float64) float64 {
	return max(-math.MaxFloat64, min(v, math.MaxFloat64))
}
