// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

var selfMetric = regexp.MustCompile(`"(shoal_[a-z_]+)"`)

func TestDocs_OperationsDescribesEachSelfMetric(t *testing.T) {
	declared := map[string]bool{}
	for _, m := range selfMetric.FindAllStringSubmatch(read(t, "core/selfmetrics.go"), -1) {
		declared[m[1]] = true
	}
	if len(declared) < 10 {
		t.Fatalf("only %d metrics were found in core/selfmetrics.go: are they declared elsewhere?", len(declared))
	}
	// The families that a page adds, and all others that it shows.
	families, err := shoaltest.NewServer().New(t, shoal.Opts{Host: "h"}).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		declared[f.GetName()] = true
	}
	text := read(t, "docs/operations.md")
	for name := range declared {
		if !strings.Contains(text, "\n| `"+name+"`") && !strings.Contains(text, "\n| `"+name+"{") {
			t.Errorf("docs/operations.md does not describe %s", name)
		}
	}
	alerts := read(t, "docs/alerts.yml")
	for _, name := range regexp.MustCompile(`shoal_[a-z_]+`).FindAllString(text+alerts, -1) {
		base := strings.TrimSuffix(name, "_bucket")
		if !declared[base] && base != "shoal_overflow" {
			t.Errorf("docs/operations.md or docs/alerts.yml speaks of %s, which does not exist", name)
		}
	}
}

func TestDocs_PrometheusAcceptsTheExamples(t *testing.T) {
	runPromtool(t, "check", "rules", "docs/alerts.yml")
	runPromtool(t, "check", "config", "docs/prometheus.yml")
}

// An alert must not fire for an old total that Prometheus sees for the first time.
func TestDocs_AlertsFireForWhatHappensAndForNothingElse(t *testing.T) {
	runPromtool(t, "test", "rules", "core/tests/docs/testdata/alerts_test.yml")
}

func runPromtool(t *testing.T, args ...string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install Prometheus (Debian: apt-get install prometheus), or run make deps")
	}
	cmd := exec.Command(promtool, args...)
	cmd.Dir = filepath.Join(root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
