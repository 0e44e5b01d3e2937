// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// byName returns the arguments of the examples that serve, by their names.
func byName(t *testing.T, addr string) map[string][]string {
	return map[string][]string{
		"nethttp":   {"-addr", addr},
		"chi":       {"-addr", addr},
		"gin":       {"-addr", addr},
		"echo":      {"-addr", addr},
		"fiber":     {"-addr", addr, "-prefork", "-workers", "2"},
		"prefork":   {"-addr", addr, "-workers", "2"},
		"instances": {"-addrs", addr + "," + redistest.FreeAddr(t)},
		"bridge":    {"-shops", addr + "," + redistest.FreeAddr(t), "-payments", redistest.FreeAddr(t)},
		"service":   {"-addr", redistest.FreeAddr(t), "-pages", addr},
		"exporter":  {"-addr", addr},
	}
}

// A URL with a password belongs in the environment, as in the manifest of
// docs/operations.md. Then no list of processes and no log shows it.
func TestRedisURL_OfTheEnvironmentIsUsedAndShownToNobody(t *testing.T) {
	t.Parallel()
	for name := range byName(t, "") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret, addr, server := "secret-of-"+name, redistest.FreeAddr(t), redistest.Start(t)
			testkit.Must(t, server.Client(t).Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">"+secret, "~*", "+@all").Err())
			redis := "redis://shop:" + secret + "@" + server.Addr + "/0"
			p := startWith(t, redis+"?client_name="+secret, name, byName(t, addr)[name]...)
			isUp(t, addr)
			apps := map[string]string{"prefork": "prefork", "instances": "instances", "bridge": "bridge"}
			if name != "exporter" { // an exporter's page is empty with any Redis
				exporter := redistest.FreeAddr(t)
				startWith(t, redis, "exporter", "-app", cmp.Or(apps[name], "shop"), "-addr", exporter)
				testkit.Eventually(t, func() error {
					page, err := scrape(t, exporter)
					if err == nil && len(page.Labels("shoal_instance_info")) == 0 {
						err = errors.New("its process is not in that Redis")
					}
					return err
				})
			} else if !strings.Contains(p.out.String(), server.URL()) {
				t.Errorf("it read another Redis: %q", &p.out)
			}
			for _, line := range commandLines(t) {
				if strings.Contains(line, secret) {
					t.Errorf("the arguments of a process show the URL: %q", line)
				}
			}
			if strings.Contains(p.out.String(), secret) {
				t.Errorf("the log shows the URL: %q", &p.out)
			}
		})
	}
}

// commandLines returns the arguments of all processes of the examples, on systems that have
// /proc.
func commandLines(t *testing.T) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	testkit.Must(t, err)
	for _, path := range paths {
		exe, err := os.Readlink(path + "/exe")
		line, err2 := os.ReadFile(path + "/cmdline")                       // a process
		if err == nil && err2 == nil && strings.HasPrefix(exe, binaries) { // otherwise the process has ended, or is no example
			lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}

// What an example prints about a wrong URL has no part of the URL.
func TestRedisURL_ThatIsWrongIsShownToNobody(t *testing.T) {
	t.Parallel()
	const secret = "5ecret"
	commands := byName(t, "127.0.0.1:0")
	commands["batch"] = nil
	for name, args := range commands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, redis := range []string{
				"redis://shop:12/" + secret + "@127.0.0.1/0", "redis://shop:12#" + secret + "@127.0.0.1", "redis://shop:" + secret + "/12@127.0.0.1",
			} {
				p := startWith(t, redis, name, args...)
				testkit.Eventually(t, func() error {
					if text := p.out.String(); !strings.Contains(text, "URL is not usable") {
						return errors.New(text)
					}
					return nil
				})
				_ = p.cmd.Process.Signal(syscall.SIGTERM) // the prefork example would restart its workers for ever
				<-p.ended
				p.err = nil // an error is expected
				if text := p.out.String(); strings.Contains(text, secret) || strings.Contains(text, "shop:") {
					t.Errorf("of %s it says %q", redis, text)
				}
			}
		})
	}
}

func TestRedisURL_TheFlagTakesPrecedence(t *testing.T) {
	t.Parallel()
	addr, redis := redistest.FreeAddr(t), redistest.Start(t).URL()
	p := startWith(t, "redis://"+redistest.FreeAddr(t)+"/0", "exporter", "-redis", redis, "-addr", addr)
	isUp(t, addr)
	if !strings.Contains(p.out.String(), redis) {
		t.Errorf("it says %q", &p.out)
	}
}
