// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifests are those of a cluster.
type manifests struct {
	deployments     []*apps.Deployment
	jobs            []*batch.CronJob
	services        []*core.Service
	podMonitors     []*monitoring.PodMonitor
	serviceMonitors []*monitoring.ServiceMonitor
	scrapeConfigs   []*monitoringalpha.ScrapeConfig
}

// strict decodes YAML into the types of Kubernetes and the Operator. It refuses fields that these
// do not have, and those that stand twice.
func strict(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, batch.AddToScheme, core.AddToScheme, monitoring.AddToScheme, monitoringalpha.AddToScheme,
	} {
		testkit.Must(t, add(scheme))
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}

// load decodes all files in deploy/kubernetes.
func load(t *testing.T) *manifests {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy/kubernetes/*.yaml"))
	testkit.Must(t, err)
	all, decoder := new(manifests), strict(t)
	for _, file := range files {
		reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewBufferString(read(t, "deploy/kubernetes/"+filepath.Base(file)))))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			testkit.Must(t, err)
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all.add(t, object)
		}
	}
	if len(all.deployments) < 2 || len(all.jobs) == 0 || len(all.services) < 3 ||
		len(all.podMonitors) == 0 || len(all.serviceMonitors) < 2 || len(all.scrapeConfigs) == 0 {
		t.Fatalf("manifests are missing: %+v", all)
	}
	return all
}

func (m *manifests) add(t *testing.T, object runtime.Object) {
	t.Helper()
	switch o := object.(type) {
	case *apps.Deployment:
		m.deployments = append(m.deployments, o)
	case *batch.CronJob:
		m.jobs = append(m.jobs, o)
	case *core.Service:
		m.services = append(m.services, o)
	case *monitoring.PodMonitor:
		m.podMonitors = append(m.podMonitors, o)
	case *monitoring.ServiceMonitor:
		m.serviceMonitors = append(m.serviceMonitors, o)
	case *monitoringalpha.ScrapeConfig:
		m.scrapeConfigs = append(m.scrapeConfigs, o)
	default:
		t.Fatalf("a %T: what is that for?", object)
	}
	named, err := meta.Accessor(object)
	testkit.Must(t, err)
	for _, problem := range validation.IsDNS1123Label(named.GetName()) {
		t.Errorf("%T %q: %s", object, named.GetName(), problem)
	}
	for name, value := range named.GetLabels() {
		for _, problem := range append(validation.IsQualifiedName(name), validation.IsValidLabelValue(value)...) {
			t.Errorf("%T %s, label %s=%s: %s", object, named.GetName(), name, value, problem)
		}
	}
}

// pod is a template of pods and what makes them.
type pod struct {
	name       string
	deployment *apps.Deployment // nil for a job's
	*core.PodTemplateSpec
}

func (m *manifests) pods() (list []pod) {
	for _, d := range m.deployments {
		list = append(list, pod{d.Name, d, &d.Spec.Template})
	}
	for _, j := range m.jobs {
		list = append(list, pod{j.Name, nil, &j.Spec.JobTemplate.Spec.Template})
	}
	return list
}

func TestManifests_AreWhatTheAPIsOfKubernetesAndTheOperatorKnow(t *testing.T) { load(t) }

func TestManifests_AFieldThatNobodyKnowsIsRefused(t *testing.T) {
	for _, wrong := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selektor: {app: a}}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {Selector: {app: a}}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}\n",
		"apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nspec: {honorLabels: true}\n",
		"apiVersion: v1\nkind: Cervice\n",
	} {
		if _, _, err := strict(t).Decode([]byte(wrong), nil, nil); err == nil {
			t.Errorf("accepted: %s", wrong)
		}
	}
}
