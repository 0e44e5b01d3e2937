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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"  // for config.Load
	_ "github.com/prometheus/prometheus/discovery/file" // for config.Load
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// podDiscovery stands for that of Kubernetes, whose package takes a minute to compile. Debian's
// promtool lacks it.
type podDiscovery struct {
	discovery.Config `yaml:"-"`
	Role             string `yaml:"role"`
}

func (*podDiscovery) Name() string { return "kubernetes" }

func (p *podDiscovery) UnmarshalYAML(unmarshal func(any) error) error {
	type plain podDiscovery
	if err := unmarshal((*plain)(p)); err != nil {
		return err
	}
	if p.Role != "pod" {
		return fmt.Errorf("the role is %q", p.Role)
	}
	return nil
}

// NewDiscovererMetrics is asked for by the manager, of all kinds of discovery that there are.
func (*podDiscovery) NewDiscovererMetrics(prometheus.Registerer, discovery.RefreshMetricsInstantiator) discovery.DiscovererMetrics {
	return &discovery.NoopDiscovererMetrics{}
}

func init() { discovery.RegisterConfig(&podDiscovery{}) }

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

// What the documents say of the discovery by annotations: which address and path a pod has, and that
// what all processes share is of no pod.
func TestConfig_AnnotationsLeadToThePageAndSharedSeriesHaveNoPod(t *testing.T) {
	t.Parallel()
	for name, text := range configurations(t) {
		conf, err := config.Load(text, slog.New(slog.DiscardHandler))
		testkit.Must(t, err)
		for _, c := range conf.ScrapeConfigs {
			if c.JobName != "pods" {
				continue
			}
			const annotation = "__meta_kubernetes_pod_annotation_prometheus_io_"
			pod := map[string]string{
				"__address__": "10.0.0.1:8080", "__metrics_path__": "/metrics",
				"__meta_kubernetes_namespace": "default", "__meta_kubernetes_pod_name": "shop-1",
				annotation + "scrape": "true", annotation + "path": "/metrics/each", annotation + "port": "9091",
			}
			target, keep := relabelled(labels.FromMap(pod), c.RelabelConfigs)
			if got := target.Get("__address__") + target.Get("__metrics_path__"); !keep || got != "10.0.0.1:9091/metrics/each" || target.Get("pod") != "shop-1" {
				t.Errorf("%s: the target is %v, kept %v", name, target, keep)
			}
			delete(pod, annotation+"scrape")
			if target, keep := relabelled(labels.FromMap(pod), c.RelabelConfigs); keep {
				t.Errorf("%s: a pod without the annotation is a target: %v", name, target)
			}
			for instance, want := range map[string]string{"shop": "", "10.0.0.1:9091": "shop-1"} {
				series, _ := relabelled(labels.FromStrings("instance", instance, "pod", "shop-1"), c.MetricRelabelConfigs)
				if got := series.Get("pod"); got != want {
					t.Errorf("%s: the pod of the instance %s is %q, want %q", name, instance, got, want)
				}
			}
			return
		}
	}
	t.Error("no document shows the discovery by annotations")
}

func relabelled(from labels.Labels, rules []*relabel.Config) (to labels.Labels, keep bool) {
	builder := labels.NewBuilder(from)
	keep = relabel.ProcessBuilder(builder, rules...)
	return builder.Labels(), keep
}
