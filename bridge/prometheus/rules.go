// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	shoal "github.com/shoal-metrics/shoal/core"
)

// rules are Opts.Modes and Opts.Skip, checked and in the order in which they are tried.
type rules struct {
	named    map[string]shoal.Mode
	patterns []modePattern // the longest first
	skip     []string      // names and patterns
}

type modePattern struct {
	pattern string
	mode    shoal.Mode
}

func newRules(modes map[string]shoal.Mode, skip []string) (rules, error) {
	r := rules{named: map[string]shoal.Mode{}, skip: slices.Clone(skip)}
	for key, mode := range modes {
		if err := checkPattern(key); err != nil {
			return rules{}, fmt.Errorf("Opts.Modes[%q]: %w", key, err)
		}
		if err := checkMode(mode); err != nil {
			return rules{}, fmt.Errorf("Opts.Modes[%q]: %w", key, err)
		}
		r.named[key] = mode
		if isPattern(key) {
			r.patterns = append(r.patterns, modePattern{key, mode})
		}
	}
	slices.SortFunc(r.patterns, func(a, b modePattern) int {
		return cmp.Or(cmp.Compare(len(b.pattern), len(a.pattern)), cmp.Compare(a.pattern, b.pattern))
	})
	for _, pattern := range skip {
		if err := checkPattern(pattern); err != nil {
			return rules{}, fmt.Errorf("Opts.Skip of %q: %w", pattern, err)
		}
	}
	return r, nil
}

func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("it is empty: use a family's name, or a pattern such as \"db_*\"")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return errors.New("not a pattern of path.Match: close each [, put a character after each \\, or use * alone, as in \"db_*\"")
	}
	return nil
}

func checkMode(mode shoal.Mode) error {
	switch mode {
	case shoal.PerProcess, shoal.Sum, shoal.Max, shoal.Min, shoal.Avg, shoal.Latest:
		return nil
	case shoal.Total:
		return errors.New("a Total gauge can only be added to, and what is gathered is set: " +
			"use Sum for what each process has, Latest or Max for what all of them share")
	}
	return fmt.Errorf("unknown gauge mode %q: use PerProcess, Sum, Max, Min, Avg or Latest", string(mode))
}

func isPattern(key string) bool { return strings.ContainsAny(key, `*?[\`) }

// matches says whether a pattern matches a name. A slash, which names in UTF-8 may have, is a
// character like any other.
func matches(pattern, name string) bool {
	const slash = "\x00"
	ok, _ := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(name, "/", slash))
	return ok
}

func (r *rules) skips(name string) bool {
	return slices.ContainsFunc(r.skip, func(s string) bool { return s == name || matches(s, name) })
}

// skippedByDefault says whether a family is left out unless Opts.Modes makes gauges of it: see Opts.Skip.
func skippedByDefault(name string) bool {
	return strings.HasPrefix(name, "process_network_")
}

// mode returns the mode of a family, whether its very name is a key, and whether there is a rule
// for it at all.
func (r *rules) mode(name string) (mode shoal.Mode, named, found bool) {
	if mode, ok := r.named[name]; ok {
		return mode, true, true
	}
	for _, p := range r.patterns {
		if matches(p.pattern, name) {
			return p.mode, false, true
		}
	}
	return shoal.PerProcess, false, false
}
