// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestDependencies_NeitherClientGolangNorTheOfficialExporter(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	cmd.Dir = "../../otel"
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	testkit.Must(t, err)
	modules := strings.Fields(string(out))
	if len(modules) == 0 {
		t.Fatal("no modules")
	}
	for _, m := range modules {
		switch m {
		case "github.com/prometheus/client_golang", "go.opentelemetry.io/otel/exporters/prometheus", "go.uber.org/goleak", "google.golang.org/grpc":
			t.Errorf("a program that uses shoalotel builds %s", m)
		}
	}
}
