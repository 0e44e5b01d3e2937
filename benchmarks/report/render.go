// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/perf/benchunit"
)

// table is a table of a document, between the lines "<!-- table: NAME -->" and
// "<!-- end -->".
type table struct {
	name    string
	text    func(results) string // if not nil, makes the table; the other fields are then empty
	bench   string               // the benchmark of rows that name no other
	head    string               // the head over the rows' titles; " | " separates cells
	rows    []row
	columns []column
}

// row is a title and what the row's benchmarks have in common.
type row struct {
	title string // " | " separates cells
	keys  string // such as "op=inc", or for another benchmark "Flush counters=100"
	peer  string // replaces the word "peer" in a column's keys; such as "side=slok"
}

// column is which value of the row's benchmarks to show. If minus is given, its value is
// subtracted; if over is given, the result is divided by the value of over, also less that of
// minus. Keys replace the row's. This is computed for each round, then the median of the
// rounds.
type column struct {
	title string
	keys  string // such as "mode=serial side=shoal"
	minus string // such as "side=bare"
	over  string // such as "side=client_golang"; the column is a ratio then
	unit  string // as the benchmark prints it; ns/op if empty

	before bool // of the older commit, not of the present code
}

func (t table) render(found results) string {
	if t.text != nil {
		return t.text(found)
	}
	var text strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	titles, rules := []string{t.head}, []string{strings.Repeat("--- | ", strings.Count(t.head, " | ")) + "---"}
	for _, c := range t.columns {
		titles, rules = append(titles, c.title), append(rules, "---:")
	}
	line(titles...)
	line(rules...)
	measured := false
	for _, r := range t.rows {
		cells, some := t.cells(r, found)
		measured = measured || some
		line(append([]string{r.title}, cells...)...)
	}
	if !measured {
		return notMeasured
	}
	return text.String()
}

// cells returns a row's figures; some says whether there is any.
func (t table) cells(r row, found results) (cells []string, some bool) {
	for _, c := range t.columns {
		cell := c.cell(t.bench+" "+r.keys, r.peer, found)
		cells, some = append(cells, cell), some || cell != none
	}
	return cells, some
}

// What is shown where nothing was measured.
const (
	none        = "–"
	notMeasured = "Not measured yet.\n"
)

func (c column) cell(keys, peer string, found results) string {
	list := c.measured(keys, peer, found)
	if len(list) == 0 {
		return none
	}
	median, low, high := summary(list)
	if c.over == "" {
		return figure(median, c.inUnit())
	}
	return fmt.Sprintf("%s (%s–%s)", ratio(median), ratio(low), ratio(high))
}

// measured returns the values of the rounds.
func (c column) measured(keys, peer string, found results) []point {
	if peer == "" && c.over == "peer" {
		return nil // the value would be divided by itself
	}
	points := func(more ...string) []point {
		all := strings.Join(append([]string{keys, c.keys}, more...), " ")
		return found.points(merged(strings.ReplaceAll(" "+all+" ", " peer ", " "+peer+" ")), c.inUnit(), c.before)
	}
	less := func(a []point) []point {
		if c.minus == "" {
			return a
		}
		return combine(a, points(c.minus), func(a, b float64) float64 { return a - b })
	}
	list := less(points())
	if c.over != "" {
		list = combine(list, less(points(c.over)), func(a, b float64) float64 { return a / b })
	}
	return list
}

func (c column) inUnit() string {
	if c.unit == "" {
		return "ns/op"
	}
	return c.unit
}

func ratio(v float64) string {
	if v >= 10 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// figure writes a value with two or three significant digits.
func figure(v float64, unit string) string {
	_, unit = benchunit.Tidy(1, unit)
	what, _, _ := strings.Cut(unit, "/")
	what, _, _ = strings.Cut(what, "-after-")
	switch what[strings.LastIndexByte(what, '-')+1:] {
	case "sec":
		return scaled(v*1e9, []string{" ns", " µs", " ms", " s"})
	case "B":
		return scaled(v, []string{" B", " kB", " MB", " GB"})
	}
	return number(v)
}

func scaled(v float64, units []string) string {
	for len(units) > 1 && (v >= 999.5 || v <= -999.5) {
		v, units = v/1000, units[1:]
	}
	return number(v) + units[0]
}

func number(v float64) string {
	digits := 0
	switch {
	case v == float64(int64(v)), v >= 10, v <= -10:
	case v >= 1, v <= -1:
		digits = 1
	default:
		digits = 2
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	for i := len(text) - 3; digits == 0 && i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// gaps names the rows and goals that have no result although their benchmark was
// measured.
func gaps(found results) (list []string) {
	missing := func(what, keys string) {
		if found.has(merged(keys)[""]) {
			list = append(list, fmt.Sprintf("%s: no result for %s", what, keys))
		}
	}
	for _, t := range tables {
		for _, r := range t.rows {
			if _, some := t.cells(r, found); !some {
				missing("table "+t.name, t.bench+" "+r.keys)
			}
		}
	}
	for _, g := range goals {
		if g.column.cell(g.keys, "", found) == none {
			missing("goal "+g.title, g.keys)
		}
	}
	return list
}

var marked = regexp.MustCompile(`(?s)<!-- table: (\S+) -->\n(.*?)<!-- end -->`)

// fill puts the tables between their markers.
func fill(document []byte, found results) ([]byte, error) {
	var err error
	return marked.ReplaceAllFunc(document, func(old []byte) []byte {
		name := string(marked.FindSubmatch(old)[1])
		for _, t := range tables {
			if t.name == name {
				return fmt.Appendf(nil, "<!-- table: %s -->\n%s<!-- end -->", name, t.render(found))
			}
		}
		err = fmt.Errorf("no table is called %q", name)
		return old
	}), err
}
