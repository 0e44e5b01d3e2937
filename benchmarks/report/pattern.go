// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// pattern is a pattern of go test -bench: alternatives, each with an expression for the
// benchmark and for each level of its sub-benchmarks.
type pattern [][]*regexp.Regexp

// parsePattern reads a pattern. It splits where go test does: at / and | outside
// of brackets and parentheses.
func parsePattern(text string) (pattern, error) {
	if text == "" {
		return nil, errors.New("-bench is empty: it would match nothing; leave it out to measure all")
	}
	p := pattern{nil}
	add := func(part string) error {
		expr, err := regexp.Compile(part)
		if err != nil {
			return fmt.Errorf("-bench %q: %w", text, err)
		}
		p[len(p)-1] = append(p[len(p)-1], expr)
		return nil
	}
	begin, class, group := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '[':
			class++
		case c == ']':
			class = max(class-1, 0)
		case class > 0:
		case c == '(':
			group++
		case c == ')':
			group--
		case group == 0 && (c == '/' || c == '|'):
			if err := add(text[begin:i]); err != nil {
				return nil, err
			}
			if begin = i + 1; c == '|' {
				p = append(p, nil)
			}
		}
	}
	return p, add(text[begin:])
}

func (p pattern) String() string {
	var alternatives []string
	for _, levels := range p {
		var texts []string
		for _, level := range levels {
			texts = append(texts, level.String())
		}
		alternatives = append(alternatives, strings.Join(texts, "/"))
	}
	return strings.Join(alternatives, "|")
}

// matches says whether a benchmark, given level by level, is measured.
func (p pattern) matches(name []string) bool {
	return slices.ContainsFunc(p, func(levels []*regexp.Regexp) bool {
		if len(levels) > len(name) {
			return false // the pattern wants sub-benchmarks of this one
		}
		for i, level := range levels {
			if !level.MatchString(name[i]) {
				return false
			}
		}
		return true
	})
}

// begins says whether a benchmark or some of its sub-benchmarks may be measured.
func (p pattern) begins(benchmark string) bool {
	return slices.ContainsFunc(p, func(levels []*regexp.Regexp) bool { return levels[0].MatchString(benchmark) })
}

// levels splits a result's name into levels, such as BenchmarkScrape and series=10, without
// the number of cores.
func levels(r *benchfmt.Result) []string {
	base, parts := r.Name.Parts()
	name := []string{"Benchmark" + string(base)}
	for _, part := range parts {
		if part[0] == '/' {
			name = append(name, string(part[1:]))
		}
	}
	return name
}

// complete returns an error that names what the pattern matches and found lacks: benchmarks,
// and results from before, which would otherwise be shown again as if they were new.
func (m measurement) complete(p pattern, benchmarks []string, before, found results) error {
	for _, alternative := range p {
		alone := pattern{alternative}
		if !slices.ContainsFunc(found, func(r *benchfmt.Result) bool { return alone.matches(levels(r)) }) {
			return fmt.Errorf("-bench %q: nothing was measured that %s matches", m.bench, alone)
		}
	}
	var missing []string
	note := func(name []string) {
		if text := strings.Join(name, "/"); p.matches(name) && m.runs(name[0]) && !slices.Contains(missing, text) {
			missing = append(missing, text)
		}
	}
	for _, name := range benchmarks {
		if !found.has(strings.TrimPrefix(name, "Benchmark")) {
			note([]string{name})
		}
	}
	for _, old := range before {
		name := levels(old)
		if !slices.ContainsFunc(found, func(r *benchfmt.Result) bool { return slices.Equal(levels(r), name) }) {
			note(name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("-bench %q matches what was not measured: %s; nothing is written: "+
		"see above why; remove results of benchmarks that no longer exist from %s", m.bench, strings.Join(missing, ", "), m.into)
}

// runs says whether the flags ask for rounds of a benchmark. If wrk is missing, a run of
// everything leaves out whole requests, and shows no older results of them.
func (m measurement) runs(benchmark string) bool {
	switch {
	case wholeRequests.MatchString(benchmark):
		return m.wrk && m.pairs > 0 && m.bench != "."
	case slow.MatchString(benchmark):
		return m.slow > 0
	}
	return m.rounds > 0
}
