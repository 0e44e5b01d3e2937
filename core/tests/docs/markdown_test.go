// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#+ +(.*)$`)
	code    = regexp.MustCompile("`[^`]*`")
)

func TestDocs_RelativeLinksLeadSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		_, prose := blocks(t, file)
		for _, line := range prose {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				to := file
				if target != "" {
					to = path.Join(path.Dir(file), target)
				}
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s: the link %s leads nowhere", file, m[1])
					continue
				}
				if anchor != "" && !anchors(t, to)[anchor] {
					t.Errorf("%s: the link %s: %s has no such heading", file, m[1], to)
				}
			}
		}
	}
}

// anchors lists the anchors of a document: its headings in lower case, with hyphens for
// spaces and without punctuation.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	_, prose := blocks(t, file)
	for _, line := range prose {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return found
}

func TestDocs_GoSnippetsParse(t *testing.T) {
	n := 0
	for _, file := range documents(t) {
		list, _ := blocks(t, file)
		for _, b := range list {
			if b.language != "go" {
				continue
			}
			n++
			if err := parses(b.text); err != nil {
				t.Errorf("%s:%d: %v", file, b.line, err)
			}
		}
	}
	if n == 0 {
		t.Error("no snippet was found")
	}
}

// parses accepts a whole file, declarations, or statements.
func parses(text string) error {
	var err error
	for _, frame := range [][2]string{
		{"package p\nfunc _() {\n", "\n}"},
		{"package p\n", ""},
		{"", ""},
	} {
		_, e := parser.ParseFile(token.NewFileSet(), "snippet.go", frame[0]+text+frame[1], parser.SkipObjectResolution)
		if e == nil {
			return nil
		}
		if err == nil {
			err = e
		}
	}
	return err
}

var goFile = regexp.MustCompile("^`([a-z0-9/-]+\\.(?:go|lua))`$")

// The glossary names a file for each word, by the end of its path in core or below.
func TestDocs_TheGlossaryNamesFilesThatExist(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "\n## Glossary\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var files []string
	err := filepath.WalkDir(filepath.Join(root, "core"), func(path string, _ os.DirEntry, err error) error {
		files = append(files, filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if !strings.HasPrefix(line, "| ") || cells[0] == "word" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		words++
		m := goFile.FindStringSubmatch(cells[len(cells)-1])
		if len(cells) != 3 || m == nil {
			t.Errorf("not a word, its meaning and its file: %s", line)
			continue
		}
		if !slices.ContainsFunc(files, func(file string) bool { return strings.HasSuffix(file, "/"+m[1]) }) {
			t.Errorf("%s: there is no %s in core", cells[0], m[1])
		}
	}
	if words < 20 {
		t.Errorf("the glossary has %d words", words)
	}
}
