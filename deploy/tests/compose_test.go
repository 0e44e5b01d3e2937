// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// compose is deploy/compose/compose.yaml, checked against the schema of the Compose specification.
func compose(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "deploy/compose"))
	testkit.Must(t, err)
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml")}},
	})
	testkit.Must(t, err)
	return project
}

func TestCompose_PublishesPortsForThisMachineOnly(t *testing.T) {
	published := 0
	for name, s := range compose(t).Services {
		for _, p := range s.Ports {
			published++
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, p.Published, p.HostIP)
			}
		}
	}
	if published < 2 {
		t.Errorf("%d ports are published", published)
	}
}

func TestCompose_ItsPartsFitTogether(t *testing.T) {
	project := compose(t)
	shop := project.Services["shop"]
	if n := *shop.Deploy.Replicas; n != 2 || shop.Ports[0].Published != "8080-8081" {
		t.Errorf("%d replicas share the ports %+v", n, shop.Ports)
	}
	if need := httpmetrics.DefDrainTimeout + httpmetrics.DefCloseTimeout; time.Duration(*shop.StopGracePeriod) <= need {
		t.Errorf("%v are given to stop, %v are needed", *shop.StopGracePeriod, need)
	}
	if url := shop.Environment["REDIS_URL"]; url == nil || !strings.HasPrefix(*url, "redis://redis:6379/") {
		t.Errorf("the shop's Redis is %v", url)
	}
	if project.Services["redis"].HealthCheck == nil || shop.DependsOn["redis"].Condition != types.ServiceConditionHealthy {
		t.Error("the shop does not wait for Redis")
	}
	for _, v := range project.Services["prometheus"].Volumes {
		if v.Type == types.VolumeTypeBind {
			if _, err := os.Stat(v.Source); err != nil {
				t.Error(err)
			}
		}
	}
	// core/tests/prometheus loads the configuration.
	if config := read(t, "deploy/compose/prometheus.yml"); !strings.Contains(config, `targets: ["shop:9091"]`) || !slices.Contains(shop.Command, ":9091") {
		t.Error("Prometheus does not scrape the shop's page")
	}
}

var copied = regexp.MustCompile(`(?m)^COPY (\w\S*) `)

// What an example is built of is in the image that builds it.
func TestDockerfile_HasWhatTheExamplesAreBuiltOf(t *testing.T) {
	var dirs []string
	for _, m := range copied.FindAllStringSubmatch(read(t, "deploy/Dockerfile"), -1) {
		dirs = append(dirs, m[1])
		if info, err := os.Stat(filepath.Join(root, m[1])); err != nil || !info.IsDir() {
			t.Errorf("the Dockerfile copies %s: %v", m[1], err)
		}
		if !strings.Contains(read(t, "deploy/Dockerfile.dockerignore"), "\n!"+m[1]+"\n") {
			t.Errorf("%s is ignored", m[1])
		}
	}
	replaced := regexp.MustCompile(`=> \.\./(\w+)`).FindAllStringSubmatch(read(t, "examples/go.mod"), -1)
	if len(replaced) == 0 {
		t.Fatal("the examples replace nothing")
	}
	for _, m := range replaced {
		if !slices.Contains(dirs, m[1]) {
			t.Errorf("the examples need %s, which the Dockerfile does not copy", m[1])
		}
	}
	for _, s := range compose(t).Services {
		if s.Build == nil {
			continue
		}
		if name := s.Build.Args["EXAMPLE"]; name == nil {
			t.Errorf("%s: no EXAMPLE", s.Name)
		} else if _, err := os.Stat(filepath.Join(root, "examples", *name, "main.go")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Error(err)
		}
	}
}
