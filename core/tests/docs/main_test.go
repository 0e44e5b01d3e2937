// SPDX-License-Identifier: Apache-2.0

// Package docs_test checks that the documents say what the code does.
package docs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// root is the repository, seen from this package.
const root = "../../.."

// documents are the files whose text is checked, relative to root.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "*/*/README.md", "*/*/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			file, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			if file = filepath.ToSlash(file); !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files
}

// read returns a file of the repository.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of a document.
type block struct {
	language string
	line     int // of its first line of text
	text     string
}

// blocks returns the fenced blocks of a document, and its lines without them.
func blocks(t *testing.T, file string) (list []block, prose []string) {
	t.Helper()
	var open *block
	for i, line := range strings.Split(read(t, file), "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence, line: i + 2}
		case isFence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			prose = append(prose, line)
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block has no end", file, open.line)
	}
	return list, prose
}
