// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"  // for config.Load
	_ "github.com/prometheus/prometheus/discovery/file" // for config.Load
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// pods stands for the discovery of Kubernetes, whose package takes a minute to compile. Debian's
// promtool lacks it.
type pods struct {
	discovery.Config `yaml:"-"`
	Role             string `yaml:"role"`
}

func (*pods) Name() string { return "kubernetes" }

func (p *pods) UnmarshalYAML(unmarshal func(any) error) error {
	type plain pods
	if err := unmarshal((*plain)(p)); err != nil {
		return err
	}
	if p.Role != "pod" {
		return fmt.Errorf("the role is %q", p.Role)
	}
	return nil
}

func init() { discovery.RegisterConfig(&pods{}) }

// root is the repository, seen from this package.
const root = "../../.."

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// configurations are those that we document, by where they stand.
func configurations(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, pattern := range []string{"docs/prometheus.yml", "deploy/*/prometheus.yml", "*.md", "docs/*.md", "*/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		testkit.Must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			testkit.Must(t, err)
			if filepath.Ext(file) == ".yml" {
				found[file] = string(text)
				continue
			}
			for i, m := range yamlBlock.FindAllSubmatch(text, -1) {
				if block := string(m[1]); strings.HasPrefix(block, "scrape_configs:") {
					found[fmt.Sprintf("%s, block %d", file, i+1)] = block
				}
			}
		}
	}
	return found
}

func TestConfig_PrometheusAcceptsWhatTheDocumentsShow(t *testing.T) {
	t.Parallel()
	all := configurations(t)
	for name, text := range all {
		if _, err := config.Load(text, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(all) < 6 {
		t.Errorf("only %d configurations were found", len(all))
	}
}
