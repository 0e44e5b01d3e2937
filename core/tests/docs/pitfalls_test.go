// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The numbers of pitfalls that docs/pitfalls.md answers.
const (
	storePitfalls  = 43
	httpPitfalls   = 26
	otelPitfalls   = 13
	bridgePitfalls = 10
)

var (
	pitfallRow = regexp.MustCompile(`^\| ([SHOB]\d+) \|`)
	testName   = regexp.MustCompile("`([a-z0-9_/]+\\.go):([A-Za-z0-9_]+)`")
)

func TestDocs_EachPitfallNamesTestsThatExist(t *testing.T) {
	rows := map[string]string{}
	for _, line := range strings.Split(read(t, "docs/pitfalls.md"), "\n") {
		if m := pitfallRow.FindStringSubmatch(line); m != nil {
			if rows[m[1]] != "" {
				t.Errorf("%s is there twice", m[1])
			}
			rows[m[1]] = line
		}
	}
	check := func(id string) {
		names := testName.FindAllStringSubmatch(rows[id], -1)
		switch {
		case rows[id] == "":
			t.Errorf("%s is missing", id)
		case len(names) == 0:
			t.Errorf("%s names no test", id)
		}
		for _, m := range names {
			if err := testExists(m[1], m[2]); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	for i := range storePitfalls {
		check(fmt.Sprint("S", i+1))
	}
	for i := range httpPitfalls {
		check(fmt.Sprint("H", i+1))
	}
	for i := range otelPitfalls {
		check(fmt.Sprint("O", i+1))
	}
	for i := range bridgePitfalls {
		check(fmt.Sprint("B", i+1))
	}
	if n := storePitfalls + httpPitfalls + otelPitfalls + bridgePitfalls; len(rows) != n {
		t.Errorf("%d rows, want %d", len(rows), n)
	}
}

// Each row of the table of docs/security.md says who can do what, and names tests that show it.
func TestDocs_SecurityNamesTestsThatExist(t *testing.T) {
	rows := 0
	table, _, _ := strings.Cut(read(t, "docs/security.md"), "\n## ")
	for _, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| who |") {
			continue
		}
		rows++
		if cells := strings.Count(line, " |"); cells != 4 {
			t.Errorf("%d cells: %.80s", cells, line)
		}
		names := testName.FindAllStringSubmatch(line, -1)
		if len(names) == 0 {
			t.Errorf("no test: %.80s", line)
		}
		for _, m := range names {
			if err := testExists(m[1], m[2]); err != nil {
				t.Error(err)
			}
		}
	}
	if rows < 15 {
		t.Errorf("%d rows", rows)
	}
}

// testExists looks for a test function, or an entry of the conformance suite.
func testExists(file, name string) error {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return err
	}
	declaration := "\nfunc " + name + "(t *testing.T)"
	if strings.HasPrefix(name, "Fuzz") {
		declaration = "\nfunc " + name + "(f *testing.F)"
	}
	if !strings.HasSuffix(file, "_test.go") {
		declaration = "\n\t\"" + name + "\": func("
	}
	if !strings.Contains(string(text), declaration) {
		return fmt.Errorf("%s has no test %s", file, name)
	}
	return nil
}
