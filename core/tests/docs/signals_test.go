// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Readers copy the line that catches Ctrl-C, so the line that releases it must stand beside it:
// while requests are drained, a second Ctrl-C must end the program.
func TestDocs_WhereCtrlCIsCaughtASecondOneEndsAtOnce(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range documents(t) {
		files = append(files, filepath.Join(root, file))
	}
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, after, catches := strings.Cut(string(text), "signal.NotifyContext(")
		if !catches {
			continue
		}
		n++
		if !strings.Contains(after, "context.AfterFunc(ctx, ") {
			t.Errorf("%s catches the signal, and a second one does nothing", file)
		}
	}
	if n < 12 {
		t.Errorf("only %d files catch signals: the READMEs and examples are more", n)
	}
}
