// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchunit"
)

// results are those of all rounds, in the order in which they were measured.
type results []*benchfmt.Result

func load(file string) (results, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(bytes.NewReader(text), file)
}

// loadBoth loads the results of the present code, and those of an older commit, if there are any.
func loadBoth(file, older string) (results, error) {
	found, err := load(file)
	if err != nil {
		return nil, err
	}
	before, err := load(older)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, r := range before {
		r.SetConfig(codeKey, codeBefore)
	}
	return append(found, before...), nil
}

// The configuration by which results of an older commit are known.
const codeKey, codeBefore = "code", "before"

func parse(r io.Reader, file string) (results, error) {
	var found results
	reader := benchfmt.NewReader(r, file)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			found = append(found, record.Clone())
		case *benchfmt.SyntaxError:
			return nil, record
		}
	}
	return found, reader.Err()
}

func (rs results) store(file string) error {
	var text bytes.Buffer
	w := benchfmt.NewWriter(&text)
	for _, r := range rs {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// replacedBy returns the newer results, and the older ones of benchmarks that newer lacks.
func (rs results) replacedBy(newer results) results {
	kept := slices.DeleteFunc(slices.Clone(rs), func(old *benchfmt.Result) bool {
		return slices.ContainsFunc(newer, func(r *benchfmt.Result) bool { return bytes.Equal(r.Name, old.Name) })
	})
	return append(kept, newer...)
}

// merged parses keys. A key selects a benchmark: by its name and by all key=value parts that it must
// have, separated by spaces. Later keys replace earlier ones.
func merged(keys ...string) map[string]string {
	all := map[string]string{}
	for _, word := range strings.Fields(strings.Join(keys, " ")) {
		name, value, isPart := strings.Cut(word, "=")
		if !isPart {
			name, value = "", word
		}
		all[name] = value
	}
	return all
}

func matches(r *benchfmt.Result, want map[string]string) bool {
	if !bytes.HasPrefix(r.Name, []byte(want[""])) {
		return false // most are different, and splitting a name takes long
	}
	base, parts := r.Name.Parts()
	if string(base) != want[""] {
		return false
	}
	n := 1
	for _, part := range parts {
		if part[0] == '-' { // the number of cores
			continue
		}
		name, value, _ := strings.Cut(string(part[1:]), "=")
		if got, ok := want[name]; !ok || got != value {
			return false
		}
		n++
	}
	return n == len(want)
}

// has says whether there is any result of a benchmark.
func (rs results) has(benchmark string) bool {
	return slices.ContainsFunc(rs, func(r *benchfmt.Result) bool { return string(r.Name.Base()) == benchmark })
}

// point is one measured value and the run that it belongs to.
type point struct {
	value float64
	run   string
}

// points returns the values of one benchmark, round by round, of the present code or of the
// older commit.
func (rs results) points(want map[string]string, unit string, before bool) []point {
	_, unit = benchunit.Tidy(1, unit)
	var list []point
	for _, r := range rs {
		if matches(r, want) && (r.GetConfig(codeKey) == codeBefore) == before {
			if v, ok := r.Value(unit); ok {
				list = append(list, point{v, r.GetConfig("date")})
			}
		}
	}
	return list
}

// combine joins the values of the same round. Values of different runs can't be
// compared.
func combine(a, b []point, with func(a, b float64) float64) []point {
	var list []point
	for i := range min(len(a), len(b)) {
		if a[i].run == b[i].run {
			list = append(list, point{with(a[i].value, b[i].value), a[i].run})
		}
	}
	return list
}

// summary returns the median and its confidence interval of 95 %. That needs six values;
// with fewer the interval has all values.
func summary(list []point) (median, low, high float64) {
	values := make([]float64, len(list))
	for i, p := range list {
		values[i] = p.value
	}
	sample := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	s := benchmath.AssumeNothing.Summary(sample, 0.95)
	return s.Center, max(s.Lo, sample.Values[0]), min(s.Hi, sample.Values[len(values)-1])
}

// machine describes where the results come from: a line for each run, with what it
// measured.
func (rs results) machine() string {
	var runs []string
	measured := map[string][]string{}
	for _, r := range rs {
		date, _, _ := strings.Cut(r.GetConfig("date"), "T")
		_, parts := r.Name.Parts()
		cores := "1"
		if last := len(parts) - 1; last >= 0 && parts[last][0] == '-' {
			cores = string(parts[last][1:])
		}
		run := fmt.Sprintf("%s; %s, %s cores, Go %s, Redis %s, %s, commit %s", r.GetConfig("run"),
			strings.TrimSpace(r.GetConfig("cpu")), cores, r.GetConfig("go"), r.GetConfig("redis"), date, r.GetConfig("commit"))
		if measured[run] == nil {
			runs = append(runs, run)
		}
		if name := string(r.Name.Base()); !slices.Contains(measured[run], name) {
			measured[run] = append(measured[run], name)
		}
	}
	if len(runs) == 0 {
		return notMeasured
	}
	var text strings.Builder
	text.WriteString("| | |\n| --- | --- |\n")
	for _, run := range runs {
		fmt.Fprintf(&text, "| %s | %s |\n", strings.Join(measured[run], ", "), run)
	}
	return text.String()
}
