// SPDX-License-Identifier: Apache-2.0

//go:build unix

package examples

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/shoal-metrics/shoal/embedded"
)

// patience bounds every wait, on a machine that may be busy.
const patience = 60 * time.Second

// binaries is where the examples are, built once.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "shoal-examples")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binaries = dir
		if out, err := exec.Command("go", "build", "-o", dir, "./...").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the examples: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// program is a running example.
type program struct {
	*testing.T
	cmd   *exec.Cmd
	out   buffer
	ended chan struct{}
	err   error // of its end; read it after ended
}

// start runs an example, until the end of the test at most.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return startWith(t, "", name, args...)
}

// startWith is start with REDIS_URL set, unless that is empty.
func startWith(t *testing.T, redis, name string, args ...string) *program {
	t.Helper()
	return launch(t, redis, exec.Command(filepath.Join(binaries, name), args...))
}

func launch(t *testing.T, redis string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{T: t, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REDIS_URL=") })
	if redis != "" {
		p.cmd.Env = append(p.cmd.Env, "REDIS_URL="+redis)
	}
	// With descendants that hold the output open, Wait would not return.
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.terminate()
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(cmd.Path), p.out.String())
		}
	})
	return p
}

// wait waits for the program's end.
func (p *program) wait() {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Error("the example does not end")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.err != nil {
		p.Errorf("the example ended with: %v", p.err)
	}
}

// terminate asks the program to end and expects that it does so in good order.
func (p *program) terminate() {
	p.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
}

// buffer is a bytes.Buffer that several processes' outputs share.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// redisURL starts a Redis for one test.
func redisURL(t *testing.T) string {
	t.Helper()
	server, err := embedded.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.URL()
}

// guardedRedis starts a Redis with a password for one test, and tells what a log may
// show of its URL.
func guardedRedis(t *testing.T, password string) (url, shown string) {
	t.Helper()
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	server.RequireUserAuth("shop", password)
	return "redis://shop:" + password + "@" + server.Addr() + "/0", "redis://" + server.Addr() + "/0"
}

// freeAddr gives an address whose port is free at the moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// until polls until check returns nil.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-ticker.C
	}
}

// fresh makes a connection for each request, so that any process may answer.
var fresh = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func do(client *http.Client, method, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// page is what /metrics says, by family.
type page map[string]*dto.MetricFamily

func scrape(addr string) (page, error) {
	status, body, err := do(fresh, http.MethodGet, "http://"+addr+"/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(strings.NewReader(body))
}

// value sums the series of a family that have all the given labels, given as
// name=value: of counters and gauges the values, of the others the counts.
func (p page) value(family string, labels ...string) float64 {
	sum := 0.0
	for _, m := range p[family].GetMetric() {
		has := map[string]bool{}
		for _, l := range m.GetLabel() {
			has[l.GetName()+"="+l.GetValue()] = true
		}
		all := true
		for _, l := range labels {
			all = all && has[l]
		}
		if all {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() +
				float64(m.GetHistogram().GetSampleCount()) + float64(m.GetSummary().GetSampleCount())
		}
	}
	return sum
}

// says is for until: it scrapes and compares one value.
func says(addr string, want float64, family string, labels ...string) func() error {
	return func() error {
		p, err := scrape(addr)
		if err != nil {
			return err
		}
		if got := p.value(family, labels...); got != want {
			return fmt.Errorf("%s%v is %v, want %v", family, labels, got, want)
		}
		return nil
	}
}
