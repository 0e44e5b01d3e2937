// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A program that has the bridge is built of client_golang and of what shoal and client_golang stand
// on themselves.
func TestDependencies_AreThoseOfShoalAndClientGolang(t *testing.T) {
	modules := func(dir, packages string) []string {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", packages)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		cmd.Env = append(os.Environ(), "GOWORK=off")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		list := strings.Fields(string(out))
		slices.Sort(list)
		return slices.Compact(list)
	}
	const bridge = "../../prometheus"
	want := slices.Concat(modules("../../../core", "."), modules(bridge, "github.com/prometheus/client_golang/prometheus"),
		[]string{"github.com/shoal-metrics/shoal/bridge/prometheus"})
	for _, module := range modules(bridge, ".") {
		if !slices.Contains(want, module) {
			t.Errorf("%s is in the build", module)
		}
	}
}
