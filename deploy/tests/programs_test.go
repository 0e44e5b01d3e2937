// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	core "k8s.io/api/core/v1"
)

// example is the program in an image: the README tags it so.
func example(t *testing.T, image string) string {
	t.Helper()
	m := regexp.MustCompile(`docker tag (\w+) ` + regexp.QuoteMeta(image) + ` `).FindStringSubmatch(read(t, "deploy/kubernetes/README.md"))
	if m == nil {
		t.Fatalf("the README does not say how %s is built", image)
	}
	return m[1]
}

var listens = regexp.MustCompile(`^:([0-9]+)$`)

// run starts the program of a container on free ports of the loopback interface, and returns
// the address in place of each port. It ends with the test, by SIGTERM and in time.
func run(t *testing.T, p pod, c core.Container, redis string) (addrs map[int32]string, ended chan error) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program")
	name := example(t, c.Image)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./"+name)
	build.Dir = filepath.Join(root, "examples")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	addrs = map[int32]string{}
	args := slices.Clone(c.Args)
	for _, port := range c.Ports {
		at := slices.Index(args, fmt.Sprintf(":%d", port.ContainerPort))
		if at < 0 {
			t.Fatalf("%s is not told to listen on port %d", p.name, port.ContainerPort)
		}
		addrs[port.ContainerPort] = redistest.FreeAddr(t)
		args[at] = addrs[port.ContainerPort]
	}
	for _, arg := range args {
		if listens.MatchString(arg) {
			t.Errorf("%s listens on %s, which is not among its ports", p.name, arg)
		}
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "REDIS_URL="+redis)
	log := new(testkit.Heard)
	cmd.Stdout, cmd.Stderr = log, log
	testkit.Must(t, cmd.Start())
	ended = make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		grace := 30 * time.Second // the default of Kubernetes
		if seconds := p.Spec.TerminationGracePeriodSeconds; seconds != nil {
			grace = time.Duration(*seconds) * time.Second
		}
		select {
		case err := <-ended:
			testkit.Check(t, err)
		case <-time.After(grace):
			t.Errorf("%s has not ended within %v", p.name, grace)
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return addrs, ended
}

// The programs serve what the probes and the monitors ask for, with the arguments of the manifests.
func TestPrograms_ServeWhatProbesAndMonitorsAskFor(t *testing.T) {
	m, redis := load(t), redistest.Start(t).URL()
	monitored := m.monitored(t)
	for _, p := range m.pods() {
		if p.deployment == nil {
			continue
		}
		for _, c := range p.Spec.Containers {
			addrs, _ := run(t, p, c, redis)
			for what, probe := range probes(c) {
				name, path := target(probe)
				_, port, _ := p.port(name)
				testkit.Eventually(t, func() error { return answers(t, addrs[port], path) })
				t.Logf("%s: the %s probe of %s%s is answered", p.name, what, name, path)
			}
			for _, s := range monitored {
				if s.pod.name != p.name {
					continue
				}
				_, port, _ := p.port(s.port)
				testkit.Eventually(t, func() error {
					page, err := testkit.Fetch(t.Context(), "http://"+addrs[port]+s.path)
					if err == nil && !slices.ContainsFunc(page.Labels("shoal_instances"), func(labels []string) bool {
						return slices.Equal(labels, s.shared)
					}) {
						err = fmt.Errorf("%s%s has no shoal_instances with %q", s.port, s.path, s.shared)
					}
					return err
				})
			}
		}
	}
}

// answers does what a probe does.
func answers(t *testing.T, addr, path string) error {
	if path == "" {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	status, body, err := testkit.Do(t.Context(), http.MethodGet, "http://"+addr+path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %s", status, body)
	}
	return err
}

func TestPrograms_WhatTheJobCountsIsOnTheExportersPage(t *testing.T) {
	m, redis := load(t), redistest.Start(t).URL()
	for _, p := range m.pods() {
		if p.deployment == nil {
			_, ended := run(t, p, p.Spec.Containers[0], redis)
			testkit.Must(t, <-ended)
		}
	}
	for _, p := range m.pods() {
		if !strings.HasSuffix(p.name, "-exporter") {
			continue
		}
		addrs, _ := run(t, p, p.Spec.Containers[0], redis)
		_, port, _ := p.port("metrics")
		testkit.Eventually(t, func() error {
			page, err := testkit.Fetch(t.Context(), "http://"+addrs[port]+fleetPage)
			if err == nil && page.Sum("billing_invoices_total") != 100 {
				err = fmt.Errorf("%v invoices", page.Sum("billing_invoices_total"))
			}
			return err
		})
	}
}
