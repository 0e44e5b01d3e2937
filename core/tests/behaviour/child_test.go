// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// childEnv holds the [childConfig] of a child process.
const childEnv = "SHOAL_BEHAVIOUR_CHILD"

// childConfig is what a child process is started with.
type childConfig struct {
	URL     string
	App     string
	Index   *int
	Lease   time.Duration
	Refresh time.Duration
	Expire  time.Duration // of its gauge depth
	Every   time.Duration // between flushes
	Help    string        // of its histogram
	Buckets []float64
	Carts   shoal.Mode // of its gauge carts_open
	// Version, if there is one, is what the process declares in place of the metrics
	// above.
	Version version

	env []string // of the process
}

// childMain is a whole process of an app: it executes each line that it reads as a command,
// and answers it with a line. It ends at the end of its input.
func childMain(config string, in io.Reader, out io.Writer) int {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 2
	}
	reg := shoal.New()
	var app interface {
		do(word, rest string) (string, error)
	} = newVersionApp(reg, c.Version)
	if c.Version == nil {
		app = &childApp{
			reg:   reg,
			jobs:  reg.NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."}),
			depth: reg.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Depth.", Expire: c.Expire}),
			carts: reg.NewGauge(shoal.GaugeOpts{Name: "carts_open", Help: "Carts.", Mode: c.Carts}),
			took:  reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: c.Help, Buckets: c.Buckets}),
		}
	}
	err := reg.Open(c.URL, shoal.Opts{
		App: c.App, Index: c.Index, LeaseDuration: c.Lease, RefreshPeriod: c.Refresh, Interval: c.Every,
		OnError: func(error) {},
	})
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 2
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		answer, err := app.do(word, rest)
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return 1
		}
	}
	return 0
}

// childApp is the application that runs in a child process.
type childApp struct {
	reg   *shoal.Registry
	jobs  *shoal.Counter
	depth *shoal.Gauge
	carts *shoal.Gauge
	took  *shoal.Histogram
}

func (a *childApp) do(word, rest string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	v, _ := strconv.ParseFloat(rest, 64)
	switch word {
	case "inc":
		a.jobs.Add(v)
		return "ok", nil
	case "sync":
		total, err := a.jobs.AddSync(ctx, v)
		return strconv.FormatFloat(total, 'g', -1, 64), err
	case "set":
		return "ok", a.depth.SetSync(ctx, v)
	case "carts": // opened, or closed
		a.carts.Add(v)
		return "ok", nil
	case "setcarts":
		a.carts.Set(v)
		return "ok", nil
	case "observe":
		return "ok", a.took.ObserveSync(ctx, v)
	case "load": // counts without a pause until its end
		go func() {
			for range time.Tick(200 * time.Microsecond) {
				a.jobs.Inc()
				a.took.Observe(3)
			}
		}()
		return "ok", nil
	case "flush":
		return "ok", a.reg.Flush(ctx)
	case "close":
		return "ok", a.reg.Close(ctx)
	case "serve":
		return a.serve(), nil
	case "die": // counts a last time, then ends as told
		a.jobs.Add(7)
		a.die(rest)
	}
	return "", fmt.Errorf("unknown word %q", word)
}

// child is a process that the test started from its own binary.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer // its standard error; read it only after the process has ended
}

// spawn starts a child process. It ends with the test at the latest.
func (f *fleet) spawn(t testing.TB, change ...func(*childConfig)) *child {
	t.Helper()
	config := childConfig{
		URL: f.url, App: f.app, Lease: 10 * time.Second, Refresh: 100 * time.Millisecond,
		Expire: time.Minute, Every: 10 * time.Millisecond, Carts: shoal.Total,
		Help: "Time.", Buckets: []float64{1, 20, 25.5},
	}
	for _, c := range change {
		c(&config)
	}
	text, err := json.Marshal(config)
	testkit.Must(t, err)
	self, err := os.Executable()
	testkit.Must(t, err)
	c := &child{t: t, cmd: exec.Command(self)}
	// With the race detector each child would sleep for a second at its end.
	c.cmd.Env = append(append(os.Environ(), config.env...), childEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	c.cmd.Stderr = &c.err
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	testkit.Must(t, err)
	c.out = bufio.NewReader(out)
	testkit.Must(t, c.cmd.Start())
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the child says:\n%.2000s", c.err.String())
		}
	})
	return c
}

// tell sends the child one line and returns its answer.
func (c *child) tell(line string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.t.Fatalf("child, %s: %v", line, err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("child, %s: %v", line, err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	if strings.HasPrefix(answer, "error: ") {
		c.t.Fatalf("child, %s: %s", line, answer)
	}
	return answer
}

// kill ends the child at once, as kill -9 does. Twice is harmless.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// signal freezes the child (SIGSTOP) or lets it go on (SIGCONT).
func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	testkit.Must(c.t, c.cmd.Process.Signal(s))
}
