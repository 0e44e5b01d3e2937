// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func TestPods_MayRunInARestrictedNamespace(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	testkit.Must(t, err)
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, p := range load(t).pods() {
		for _, result := range evaluator.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", p.name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}

func TestPods_HaveTimeToDrainAndClose(t *testing.T) {
	for _, p := range load(t).pods() {
		if p.deployment == nil {
			continue // a job ends by itself
		}
		var pause time.Duration
		for _, c := range p.Spec.Containers {
			if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
				pause = max(pause, time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second)
			}
		}
		need := pause + httpmetrics.DefDrainTimeout + httpmetrics.DefCloseTimeout
		if given := time.Duration(*p.Spec.TerminationGracePeriodSeconds) * time.Second; given <= need {
			t.Errorf("%s: %v are given, and %v are needed", p.name, given, need)
		}
	}
}

func TestPods_TakeTheURLFromASecretAndHaveResources(t *testing.T) {
	for _, p := range load(t).pods() {
		for _, c := range p.Spec.Containers {
			if strings.Contains(strings.Join(append(c.Args, c.Command...), " "), "redis") {
				t.Errorf("%s: Redis in the arguments %q, which everybody can read", p.name, c.Args)
			}
			var from *core.SecretKeySelector
			for _, e := range c.Env {
				if e.Name == "REDIS_URL" && e.ValueFrom != nil {
					from = e.ValueFrom.SecretKeyRef
				}
			}
			if from == nil || !strings.Contains(read(t, "deploy/kubernetes/README.md"), "create secret generic "+from.Name+" --from-literal="+from.Key+"=") {
				t.Errorf("%s: the README does not make the Secret for REDIS_URL: %v", p.name, from)
			}
			r := c.Resources
			if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().Cmp(*r.Requests.Memory()) < 0 {
				t.Errorf("%s: its resources are %+v", p.name, r)
			}
		}
	}
}

// port finds a container's port by its name.
func (p pod) port(name string) (container core.Container, port int32, ok bool) {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == name {
				return c, port.ContainerPort, true
			}
		}
	}
	return core.Container{}, 0, false
}

// probes are a container's, by what they are for.
func probes(c core.Container) map[string]*core.Probe {
	all := map[string]*core.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe}
	for name, p := range all {
		if p == nil {
			delete(all, name)
		}
	}
	return all
}

// target is the name of a probe's port, and its path, if any.
func target(p *core.Probe) (port, path string) {
	if p.HTTPGet != nil {
		return p.HTTPGet.Port.String(), p.HTTPGet.Path
	}
	return p.TCPSocket.Port.String(), ""
}

func TestPods_ThatServeHaveProbesOfPortsThatTheyHave(t *testing.T) {
	for _, p := range load(t).pods() {
		if p.deployment == nil {
			continue
		}
		for _, c := range p.Spec.Containers {
			all := probes(c)
			if all["liveness"] == nil || all["readiness"] == nil {
				t.Errorf("%s lacks a probe", p.name)
			}
			for what, probe := range all {
				name, _ := target(probe)
				if _, _, ok := p.port(name); !ok {
					t.Errorf("%s: the %s probe asks port %s, which it has not", p.name, what, name)
				}
			}
		}
	}
}
