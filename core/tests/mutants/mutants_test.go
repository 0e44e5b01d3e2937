// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	// mutantSeeds is in how many seeds a mutant must be found; most need a few.
	mutantSeeds = 1000
	// plainSeeds only shows that this way of building does no harm. The core's
	// own test runs more.
	plainSeeds = 100
)

func TestSimulation_PassesWithoutAMutant(t *testing.T) {
	t.Parallel()
	binary := build(t, scratch(t), nil)
	if out, err := simulate(t, binary, fmt.Sprintf("-simulation.seeds=%d", plainSeeds)); err != nil {
		t.Errorf("the simulation fails: %v\n%s", err, out)
	}
}

func TestSimulation_FindsEveryMutant(t *testing.T) {
	patches, err := filepath.Glob("*.patch")
	if err != nil || len(patches) < 12 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(patch, ".patch"), func(t *testing.T) {
			t.Parallel()
			m := readMutant(t, patch)
			dir := scratch(t)
			binary := build(t, dir, m.apply(t, dir))
			out, err := simulate(t, binary, fmt.Sprintf("-simulation.seeds=%d", mutantSeeds))
			if err == nil {
				t.Fatalf("%d seeds did not notice that %s", mutantSeeds, m.breaks)
			}
			violation := m.violation(out)
			if violation == "" {
				t.Fatalf("the simulation failed (%v), and no violation matches %q:\n%s", err, m.caught, out)
			}
			t.Log(violation)
		})
	}
}

// mutant is a patch and its head.
type mutant struct {
	path   string
	breaks string
	caught *regexp.Regexp
	files  []string // relative to the core
}

var (
	breaksLine  = regexp.MustCompile(`(?m)^Breaks: (.+)\.$`)
	caughtLine  = regexp.MustCompile(`(?m)^Caught: (.+)$`)
	patchedFile = regexp.MustCompile(`(?m)^\+\+\+ b/(\S+)`)
	violated    = regexp.MustCompile(`(?m)seed \d+: after .*$`)
)

func readMutant(t *testing.T, patch string) mutant {
	t.Helper()
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	breaks, caught := breaksLine.FindSubmatch(text), caughtLine.FindSubmatch(text)
	if breaks == nil || caught == nil {
		t.Fatal("the patch has no head: see the package's documentation")
	}
	path, err := filepath.Abs(patch)
	if err != nil {
		t.Fatal(err)
	}
	m := mutant{path: path, breaks: string(breaks[1]), caught: regexp.MustCompile(string(caught[1]))}
	for _, name := range patchedFile.FindAllSubmatch(text, -1) {
		m.files = append(m.files, string(name[1]))
	}
	return m
}

// violation is the first that the simulation found and that is the mutant's.
func (m mutant) violation(out []byte) string {
	for _, line := range violated.FindAllString(string(out), -1) {
		if m.caught.MatchString(line) {
			return line
		}
	}
	return ""
}

// apply copies the files that the patch changes, patches the copies, and
// returns them by the paths that they stand for.
func (m mutant) apply(t *testing.T, dir string) map[string]string {
	t.Helper()
	replaced := map[string]string{}
	for _, name := range m.files {
		text, err := os.ReadFile(filepath.Join(core(t), name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(core(t), name)] = to
	}
	cmd := exec.Command("git", "apply", m.path)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir)) // no repository of somebody else
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the patch does not apply, make it anew: %v\n%s", err, out)
	}
	return replaced
}

// build builds the core's simulation, without its other tests, with some files
// replaced. The compiler reads all that is not replaced where it is, so its
// cache knows most of it; and it does not optimise, which takes longer than
// that would save.
func build(t *testing.T, dir string, replaced map[string]string) (binary string) {
	t.Helper()
	overlay := map[string]string{}
	for path, by := range replaced {
		overlay[path] = by
	}
	tests, err := filepath.Glob(filepath.Join(core(t), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tests {
		name := filepath.Base(path)
		if !strings.HasPrefix(name, "simulation_") && !strings.HasPrefix(name, "race_") && name != "helpers_test.go" {
			overlay[path] = "" // as if it were not there
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	overlayPath := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayPath, text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "simulation.test")
	cmd := exec.Command("go", "test", "-c", "-overlay", overlayPath, "-gcflags=-N -l", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = core(t)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("it does not build: %v\n%s", err, out)
	}
	return binary
}

// simulate runs the simulation until it fails.
func simulate(t *testing.T, binary string, args ...string) (out []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.run=^TestSimulation$"}, args...)...)
	cmd.Dir = filepath.Dir(binary)
	out, err = cmd.CombinedOutput()
	return bytes.TrimSpace(out), err
}

func core(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func scratch(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
