// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The paths of the two pages of examples/service.
const (
	fleetPage = "/metrics"
	eachPage  = "/metrics/each"
)

// behind are the pods that a Service leads to.
func (m *manifests) behind(s *core.Service) (list []pod) {
	for _, p := range m.pods() {
		if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			list = append(list, p)
		}
	}
	return list
}

func TestReferences_ADeploymentFindsItsPods(t *testing.T) {
	for _, d := range load(t).deployments {
		if !selects(t, *d.Spec.Selector, d.Spec.Template.Labels) {
			t.Errorf("%s does not select its pods", d.Name)
		}
	}
}

func selects(t *testing.T, s meta.LabelSelector, set map[string]string) bool {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(&s)
	testkit.Must(t, err)
	if selector.Empty() {
		t.Error("a selector selects everything")
	}
	return selector.Matches(labels.Set(set))
}

func TestReferences_AServiceLeadsToPortsOfOneDeployment(t *testing.T) {
	m := load(t)
	for _, s := range m.services {
		pods := m.behind(s)
		if len(pods) != 1 || pods[0].deployment == nil {
			t.Errorf("%s leads to %d kinds of pods", s.Name, len(pods))
			continue
		}
		for _, port := range s.Spec.Ports {
			_, number, ok := pods[0].port(port.TargetPort.String())
			if !ok {
				t.Errorf("%s: its pods have no port %s", s.Name, port.TargetPort.String())
			}
			if s.Spec.ClusterIP == core.ClusterIPNone && port.Port != number {
				t.Errorf("%s has no address of its own: its port %d has to be that of the pods, %d", s.Name, port.Port, number)
			}
		}
	}
}

// scraped is what a monitor lets Prometheus scrape.
type scraped struct {
	monitor     string
	pod         pod
	port, path  string
	honorLabels bool
	shared      []string // the labels of what all processes share, by the monitor's relabeling
}

// sharedBy returns them: the relabeling takes the label pod from series with that instance.
func sharedBy(relabelings []monitoring.RelabelConfig) (shared []string) {
	for _, r := range relabelings {
		if slices.Equal(r.SourceLabels, []monitoring.LabelName{"instance"}) && r.TargetLabel == "pod" && r.Replacement != nil && *r.Replacement == "" {
			shared = append(shared, "instance="+r.Regex)
		}
	}
	return shared
}

// monitored are the endpoints of all monitors; what does not exist fails the test.
func (m *manifests) monitored(t *testing.T) (list []scraped) {
	t.Helper()
	for _, pm := range m.podMonitors {
		pods := slices.DeleteFunc(m.pods(), func(p pod) bool { return !selects(t, pm.Spec.Selector, p.Labels) })
		if len(pods) != 1 {
			t.Fatalf("PodMonitor %s selects %d kinds of pods", pm.Name, len(pods))
		}
		for _, e := range pm.Spec.PodMetricsEndpoints {
			testkit.Check(t, e.Validate())
			list = append(list, scraped{"PodMonitor " + pm.Name, pods[0], *e.Port, e.Path, e.HonorLabels, sharedBy(e.MetricRelabelConfigs)})
		}
	}
	for _, sm := range m.serviceMonitors {
		services := slices.DeleteFunc(slices.Clone(m.services), func(s *core.Service) bool { return !selects(t, sm.Spec.Selector, s.Labels) })
		if len(services) != 1 {
			t.Fatalf("ServiceMonitor %s selects %d Services", sm.Name, len(services))
		}
		for _, e := range sm.Spec.Endpoints {
			testkit.Check(t, e.Validate())
			i := slices.IndexFunc(services[0].Spec.Ports, func(p core.ServicePort) bool { return p.Name == e.Port })
			if i < 0 {
				t.Fatalf("ServiceMonitor %s: the Service %s has no port %s", sm.Name, services[0].Name, e.Port)
			}
			list = append(list, scraped{
				"ServiceMonitor " + sm.Name, m.behind(services[0])[0], services[0].Spec.Ports[i].TargetPort.String(), e.Path, e.HonorLabels, sharedBy(e.MetricRelabelConfigs),
			})
		}
	}
	return list
}

// A monitor finds every pod. So the fleet's page may be that of a single pod alone.
func TestReferences_MonitorsScrapeTheFleetOnce(t *testing.T) {
	pages := map[string]int{}
	for _, s := range load(t).monitored(t) {
		if _, _, ok := s.pod.port(s.port); !ok {
			t.Errorf("%s: %s has no port %s", s.monitor, s.pod.name, s.port)
		}
		pages[s.path]++
		switch spec := s.pod.deployment.Spec; s.path {
		case fleetPage:
			if *spec.Replicas != 1 || spec.Strategy.Type != apps.RecreateDeploymentStrategyType {
				t.Errorf("%s scrapes the fleet's page of %d pods, %s", s.monitor, *spec.Replicas, spec.Strategy.Type)
			}
		case eachPage:
			if !s.honorLabels || len(s.shared) != 1 {
				t.Errorf("%s does not honor the label instance of the page, or leaves a pod beside it", s.monitor)
			}
		default:
			t.Errorf("%s scrapes %s", s.monitor, s.path)
		}
	}
	if pages[fleetPage] == 0 || pages[eachPage] < 2 {
		t.Errorf("the monitors' pages are %v", pages)
	}
}

func TestReferences_AScrapeConfigNamesTheAddressOfAService(t *testing.T) {
	m := load(t)
	for _, c := range m.scrapeConfigs {
		if c.Spec.MetricsPath == nil || *c.Spec.MetricsPath != fleetPage || len(c.Spec.StaticConfigs) != 1 || len(c.Spec.StaticConfigs[0].Targets) != 1 {
			t.Errorf("%s has not one target with the fleet's page", c.Name)
			continue
		}
		testkit.Check(t, m.leads(string(c.Spec.StaticConfigs[0].Targets[0])))
	}
}

// leads says whether an address is that of a Service of several pods that has one of its own.
func (m *manifests) leads(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	for _, s := range m.services {
		if !strings.HasPrefix(host, s.Name+".") {
			continue
		}
		if s.Spec.ClusterIP == core.ClusterIPNone {
			return fmt.Errorf("%s has no address of its own", s.Name)
		}
		for _, p := range s.Spec.Ports {
			if fmt.Sprint(p.Port) == port {
				return nil
			}
		}
	}
	return fmt.Errorf("no Service has the address %s", address)
}
