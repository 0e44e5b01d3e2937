// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var nolint = regexp.MustCompile(`//nolint:([\w,]+)`)

// A nolint directive for a linter that is off would look as if the linter checked the code.
func TestLinters_ThatNolintNamesAreOn(t *testing.T) {
	config := read(t, ".golangci.yml")
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		for _, directive := range nolint.FindAllStringSubmatch(read(t, name), -1) {
			for linter := range strings.SplitSeq(directive[1], ",") {
				if !strings.Contains(config, "\n    - "+linter+"\n") {
					t.Errorf("%s: nolint names %s, which .golangci.yml does not turn on", name, linter)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
