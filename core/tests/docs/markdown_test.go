// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
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

// anchors lists what links may name in a document: its headings, lower case,
// with hyphens for spaces and without punctuation.
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
