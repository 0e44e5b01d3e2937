// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippetImports are the packages that the snippets of docs/migrating.md use, by their names there.
var snippetImports = map[string]string{
	"collectors": "github.com/prometheus/client_golang/prometheus/collectors",
	"http":       "net/http",
	"log":        "log",
	"otel":       "go.opentelemetry.io/otel",
	"otelprom":   "go.opentelemetry.io/otel/exporters/prometheus",
	"prometheus": "github.com/prometheus/client_golang/prometheus",
	"promhttp":   "github.com/prometheus/client_golang/prometheus/promhttp",
	"sdkmetric":  "go.opentelemetry.io/otel/sdk/metric",
	"shoal":      "github.com/shoal-metrics/shoal/core",
	"shoalotel":  "github.com/shoal-metrics/shoal/bridge/otel",
	"shoalprom":  "github.com/shoal-metrics/shoal/bridge/prometheus",
	"shoaltest":  "github.com/shoal-metrics/shoal/core/shoaltest",
	"sql":        "database/sql",
	"strings":    "strings",
	"testing":    "testing",
	"testutil":   "github.com/prometheus/client_golang/prometheus/testutil",
}

var comment = regexp.MustCompile(`//.*`)

// usesABridge matches a snippet whose modules only the bridges' tests require.
var usesABridge = regexp.MustCompile(`\b(shoalprom|shoalotel|otelprom)\.`)

// Who copies a snippet from docs/migrating.md has a program that builds.
func TestMigrating_SnippetsBuild(t *testing.T) {
	list, _ := blocks(t, "docs/migrating.md")
	of := map[string]map[string]string{"core/tests": {}, "bridge/tests": {}} // files, by module and by name
	for _, b := range list {
		module := "core/tests"
		if usesABridge.MatchString(b.text) {
			module = "bridge/tests"
		}
		if b.language == "go" {
			of[module][fmt.Sprintf("line%d", b.line)] = snippetFile(b.text)
		}
	}
	for module, files := range of {
		if len(files) < 4 {
			t.Errorf("only %d snippets are for %s", len(files), module)
		}
		t.Run(module, func(t *testing.T) { buildFiles(t, module, files) })
	}
}

// snippetFile makes a file of a snippet: of declarations with their import, or of statements, which
// may use some variables.
func snippetFile(text string) string {
	if strings.Contains(text, "\nimport ") {
		return "package p\n" + text
	}
	function := "func _(reg *shoal.Registry, redisURL string, skip []string, db *sql.DB, t *testing.T) {\n{\n" + text + "}\n}\n"
	var imports strings.Builder
	for name, path := range snippetImports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(comment.ReplaceAllString(function, "")) {
			fmt.Fprintf(&imports, "\t%s %q\n", name, path)
		}
	}
	return "package p\n\nimport (\n" + imports.String() + ")\n\n" + function
}

// buildFiles builds files, each as a package in the module, to which an overlay adds them.
func buildFiles(t *testing.T, module string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	at, err := filepath.Abs(filepath.Join(root, module))
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	args := []string{"build", "-overlay", filepath.Join(dir, "overlay.json")}
	for name, text := range files {
		file := filepath.Join(dir, name+".go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(at, "snippets", name, name+".go")] = file
		args = append(args, "./snippets/"+name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = at
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
