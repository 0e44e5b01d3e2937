// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	shoalPath = "github.com/shoal-metrics/shoal"
	limit     = 5 * time.Minute // for one command, which may have to compile everything
)

func TestMain(m *testing.M) {
	// A developer's git settings, such as signing commits, must not affect these tests.
	_ = os.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	goleak.VerifyTestMain(m)
}

// root returns the repository's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// outside is the environment of a user, without this repository's workspace. Paths are
// trimmed, so that packages compiled in another temporary directory need not be compiled
// again.
func outside(more ...string) []string {
	return append(os.Environ(), append([]string{"GOWORK=off", "GOFLAGS=-modcacherw -trimpath", "GOTOOLCHAIN=local"}, more...)...)
}

// attempt runs a command and returns what it wrote.
func attempt(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a command, which must succeed, and returns its standard output.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// proxies returns a GOPROXY of dirs, then the module cache of this machine, then this machine's
// usual GOPROXY.
func proxies(t *testing.T, dirs ...string) string {
	t.Helper()
	env := strings.Fields(run(t, ".", nil, "go", "env", "GOMODCACHE", "GOPROXY"))
	list := ""
	for _, dir := range append(dirs, env[0]) {
		list += "file://" + filepath.ToSlash(dir) + "/cache/download,"
	}
	return "GOPROXY=" + list + env[1]
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
