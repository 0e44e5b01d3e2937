// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAProgramBuildsItsOwnFrameworkOnly builds a throw-away program outside
// the repository for each middleware, by replace lines alone, and looks at what
// its build consists of.
func TestAProgramBuildsItsOwnFrameworkOnly(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	const (
		chi    = "github.com/go-chi/chi/v5"
		gin    = "github.com/gin-gonic/gin"
		echo   = "github.com/labstack/echo/v4"
		echoV5 = "github.com/labstack/echo/v5"
	)
	never := []string{"go.uber.org/goleak", "github.com/prometheus/client_golang", "github.com/alicebob/miniredis/v2"}
	for _, p := range []struct{ dir, own, call string }{
		{"nethttp", "", `shoalmw.Install(http.NewServeMux(), shoal.Default(), shoalmw.Opts{})`},
		{"chi", chi, `shoalmw.Install(fw.NewRouter(), shoal.Default(), shoalmw.Opts{})`},
		{"gin", gin, `shoalmw.Install(fw.New(), shoal.Default(), shoalmw.Opts{})`},
		{"echo", echo, `shoalmw.Install(fw.New(), shoal.Default(), shoalmw.Opts{})`},
		{"echov5", echoV5, `shoalmw.Install(fw.New(), shoal.Default(), shoalmw.Opts{})`},
	} {
		t.Run(p.dir, func(t *testing.T) {
			t.Parallel() // the go tool waits for files as much as it computes
			dir := t.TempDir()
			framework := `"net/http"`
			if p.own != "" {
				framework = `fw "` + p.own + `"`
			}
			write(t, dir, "main.go", fmt.Sprintf(`package main

import (
	%s

	shoal "github.com/shoal-metrics/shoal/core"
	shoalmw "github.com/shoal-metrics/shoal/middleware/%s"
)

func main() { %s }
`, framework, p.dir, p.call))
			write(t, dir, "go.mod", fmt.Sprintf(`module program

go 1.26.0

require github.com/shoal-metrics/shoal/middleware/%[2]s v0.0.0

replace github.com/shoal-metrics/shoal/core => %[1]s/core

replace github.com/shoal-metrics/shoal/middleware/%[2]s => %[1]s/middleware/%[2]s
`, root, p.dir))
			goTool(t, dir, "mod", "tidy")
			// -export compiles all of it and leaves out the linking, which tells nothing more.
			packages := goTool(t, dir, "list", "-deps", "-export", "-p", "2", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
			modules := goTool(t, dir, "list", "-m", "all")
			for _, framework := range []string{chi, gin, echo, echoV5} {
				if framework == p.own {
					if !has(packages, framework) {
						t.Errorf("its own framework %s is not in the build", framework)
					}
					continue
				}
				if has(packages, framework) {
					t.Errorf("%s is in the build", framework)
				}
				if has(modules, framework) {
					t.Errorf("%s is in the build list", framework)
				}
			}
			for _, module := range never {
				if has(packages, module) {
					t.Errorf("%s is in the build", module)
				}
			}
		})
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// has looks for a module in lines of "path" or "path version".
func has(lines, module string) bool {
	for line := range strings.Lines(lines) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == module {
			return true
		}
	}
	return false
}
