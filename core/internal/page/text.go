// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Families are written in the text format 0.0.4 byte for byte as expfmt writes
// their protobuf (FuzzPageText_IsThatOfExpfmt). Names on a page are valid by the
// legacy rule, so no escaping scheme changes them.

// appendHead appends what stands before the samples.
func (f *shownFamily) appendHead(dst []byte) []byte {
	if f.help != "" {
		dst = append(dst, "# HELP "...)
		dst = append(dst, f.name...)
		dst = append(dst, ' ')
		dst = appendEscaped(dst, f.help, false)
		dst = append(dst, '\n')
	}
	dst = append(dst, "# TYPE "...)
	dst = append(dst, f.name...)
	dst = append(dst, ' ')
	dst = append(dst, f.kind...)
	return append(dst, '\n')
}

// appendRow appends the samples of one series.
func (f *shownFamily) appendRow(dst []byte, i int, lines *lines) []byte {
	numbers, at := f.row(i)
	labels := lines.labels[at]
	switch f.kind {
	case wire.TypeSummary:
		dst = appendFloat(appendSeries(dst, lines.sum, labels, ""), numbers[0])
		dst = append(dst, '\n')
		dst = appendCount(appendSeries(dst, lines.count, labels, ""), numbers[1])
	case wire.TypeHistogram:
		for b, n := range numbers[1:] {
			dst = appendCount(appendSeries(dst, lines.bucket, labels, lines.le[b]), n)
			dst = append(dst, '\n')
		}
		dst = appendFloat(appendSeries(dst, lines.sum, labels, ""), numbers[0])
		dst = append(dst, '\n')
		dst = appendCount(appendSeries(dst, lines.count, labels, ""), numbers[len(numbers)-1])
	default:
		dst = appendFloat(appendSeries(dst, f.name, labels, ""), numbers[0])
	}
	return append(dst, '\n')
}

// textSize estimates how much text the family takes: numbers have six
// characters, and every series the labels of the average one.
func (f *shownFamily) textSize() int {
	const number = 6
	line := len(f.name) + len("{} \n") + number
	if sets := f.labels.len(); sets > 0 {
		line += f.labels.texts().size / sets
	}
	switch f.kind {
	case wire.TypeSummary:
		line = 2*line + len("_sum_count")
	case wire.TypeHistogram:
		line = (len(f.bounds) + 3) * (line + len(`_bucket,le="0.25"`))
	}
	return len(f.name)*2 + len(f.help) + 40 + f.len()*line
}

// lines are the parts that the lines of a family share.
type lines struct {
	bucket, sum, count string
	le                 []string // the label of each bucket
	labels             []string // of each series
}

func newLines(f *shownFamily) lines {
	l := lines{labels: f.labels.texts().texts}
	switch f.kind {
	case wire.TypeHistogram:
		l.bucket = f.name + "_bucket"
		for i := range len(f.bounds) + 1 {
			l.le = append(l.le, `le="`+string(appendFloat(nil, f.upper(i)))+`"`)
		}
		fallthrough
	case wire.TypeSummary:
		l.sum, l.count = f.name+"_sum", f.name+"_count"
	}
	return l
}

// appendSeries appends what stands before a sample's value.
func appendSeries(dst []byte, name, labels, le string) []byte {
	dst = append(dst, name...)
	if labels != "" || le != "" {
		dst = append(dst, '{')
		dst = append(dst, labels...)
		if labels != "" && le != "" {
			dst = append(dst, ',')
		}
		dst = append(dst, le...)
		dst = append(dst, '}')
	}
	return append(dst, ' ')
}

func appendCount(dst []byte, n float64) []byte { return appendFloat(dst, float64(toCount(n))) }

// appendFloat appends a number in the shortest form, which has an exponent from
// a million on. Most are small and whole, and those take a fifth of the time.
func appendFloat(dst []byte, f float64) []byte {
	if f > -1e6 && f < 1e6 {
		if i := int64(f); float64(i) == f {
			return strconv.AppendInt(dst, i, 10)
		}
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// appendEscaped appends the text of a label's value or, without quotes, of a
// help.
func appendEscaped(dst []byte, text string, quotes bool) []byte {
	from := 0
	for i := 0; i < len(text); i++ {
		var escaped string
		switch c := text[i]; {
		case c == '\\':
			escaped = `\\`
		case c == '\n':
			escaped = `\n`
		case c == '"' && quotes:
			escaped = `\"`
		default:
			continue
		}
		dst = append(dst, text[from:i]...)
		dst = append(dst, escaped...)
		from = i + 1
	}
	return append(dst, text[from:]...)
}
