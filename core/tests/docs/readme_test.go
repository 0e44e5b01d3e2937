// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/format"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The test builds the README's program unchanged, except for its two addresses. The program does
// what the README says.
func TestReadme_TheCompleteProgramRuns(t *testing.T) {
	source := completeProgram(t, "README.md")
	if formatted, err := format.Source([]byte(source)); err != nil || string(formatted) != source {
		t.Errorf("the program is not what gofmt makes of it: %v", err)
	}
	addr, server := redistest.FreeAddr(t), redistest.Start(t)
	for old, actual := range map[string]string{`":8080"`: `"` + addr + `"`, `"redis://localhost:6379/0"`: `"` + server.URL() + `"`} {
		if strings.Count(source, old) != 1 {
			t.Fatalf("the program does not have %s once", old)
		}
		source = strings.Replace(source, old, actual, 1)
	}
	program := exec.Command(build(t, "middleware/nethttp", source))
	var log bytes.Buffer
	program.Stderr = &log
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	defer func() { _ = program.Process.Kill() }()

	if body := await(t, "http://"+addr+"/hello/world", func(string) bool { return true }); body != "Hello, world!\n" {
		t.Errorf("it says %q", body)
	}
	for _, line := range []string{
		"\ngreetings_total 1\n",
		"\nhttp_requests_total{code=\"200\",method=\"GET\",route=\"/hello/{name}\"} 1\n",
	} {
		await(t, "http://"+addr+"/metrics", func(page string) bool { return strings.Contains(page, line) })
	}
	if err := program.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Ctrl-C ends it with %v: %s", err, log.String())
		}
	case <-time.After(20 * time.Second):
		t.Error("Ctrl-C does not end it")
	}
}

// So are the programs of the READMEs of middlewares and bridges.
func TestReadme_TheProgramOfEachModuleBuilds(t *testing.T) {
	for _, module := range []string{
		"middleware/nethttp", "middleware/chi", "middleware/gin", "middleware/echo", "middleware/echov5",
		"middleware/fasthttp", "middleware/fiber", "middleware/fiberv2", "bridge/prometheus", "bridge/otel",
	} {
		t.Run(module, func(t *testing.T) {
			source := completeProgram(t, module+"/README.md")
			if formatted, err := format.Source([]byte(source)); err != nil || string(formatted) != source {
				t.Errorf("the program is not what gofmt makes of it: %v", err)
			}
			build(t, module, source)
		})
	}
}

func completeProgram(t *testing.T, file string) string {
	t.Helper()
	list, _ := blocks(t, file)
	for _, b := range list {
		if b.language == "go" && strings.HasPrefix(b.text, "package main\n") {
			return b.text
		}
	}
	t.Fatalf("%s has no complete program", file)
	return ""
}

// build compiles a program in the module that it uses, such as a middleware. An overlay adds the
// program without writing to that module.
func build(t *testing.T, module, source string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	file, overlay, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	path, err := filepath.Abs(filepath.Join(root, module))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(path, "program", "main.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(source), overlay: paths} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./program")
	cmd.Dir = path
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// await polls a URL until the answer is 200 and as wanted, and returns the body.
func await(t *testing.T, url string, wanted func(body string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var last string
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if last = fmt.Sprint(err); err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if last = string(body); resp.StatusCode == http.StatusOK && wanted(last) {
				return last
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("GET %s gives %s", url, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
