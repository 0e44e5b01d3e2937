// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFast_TheREADMEsSayHowToGuardThePageAsTested finds each line of their snippets in the test
// of each package that guards the page.
func TestFast_TheREADMEsSayHowToGuardThePageAsTested(t *testing.T) {
	for _, name := range []string{"fiber", "fiberv2"} {
		t.Run(name, func(t *testing.T) {
			readme, err := os.ReadFile(filepath.Join("..", name, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			tests, err := os.ReadFile(filepath.Join("..", name, "shoalfiber_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			_, section, _ := strings.Cut(string(readme), "## Guard the page\n")
			section, _, _ = strings.Cut(section, "\n## ")
			lines := 0
			for line := range strings.Lines(section) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "app.") {
					continue
				}
				lines++
				if !strings.Contains(string(tests), "\n\t\t\t"+line+"\n") {
					t.Errorf("it has a line that is not tested: %s", line)
				}
			}
			if lines < 4 {
				t.Errorf("it has %d lines on how to guard the page", lines)
			}
		})
	}
}
