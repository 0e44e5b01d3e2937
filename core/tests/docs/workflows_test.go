// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pinned matches an action by the hash of a commit, which cannot be moved, with its
// version beside it.
var pinned = regexp.MustCompile(`^uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// Somebody who takes over an action can move its tags, so no action is named by a tag. No step gets
// more rights than it needs.
func TestWorkflows_NameActionsByHashAndGiveFewRights(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.y*ml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		uses := 0
		for line := range strings.Lines(text) {
			step := strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if !strings.Contains(step, "uses:") {
				continue
			}
			uses++
			if !pinned.MatchString(step) {
				t.Errorf("%s: %q is not an action by its commit's hash, with the version behind it", file, step)
			}
		}
		if uses == 0 {
			t.Errorf("%s uses no action: does this test still read it?", file)
		}
		checkouts := strings.Count(text, "uses: actions/checkout@")
		if n := strings.Count(text, "persist-credentials: false"); n != checkouts {
			t.Errorf("%s: %d of %d checkouts leave no credentials behind", file, n, checkouts)
		}
		if !strings.Contains(text, "\npermissions:\n  contents: read\n") || strings.Contains(text, ": write") {
			t.Errorf("%s: the permissions are more than to read the contents", file)
		}
	}
}
