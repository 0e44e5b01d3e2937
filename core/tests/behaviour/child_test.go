// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	testkit.Obey(in, out, func(line string) (string, error) {
		word, rest, _ := strings.Cut(line, " ")
		return app.do(word, rest)
	})
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

// spawn starts a child process. It ends with the test at the latest.
func (f *fleet) spawn(t testing.TB, change ...func(*childConfig)) *testkit.Child {
	t.Helper()
	config := childConfig{
		URL: f.url, App: f.app, Lease: 10 * time.Second, Refresh: 100 * time.Millisecond,
		Expire: time.Minute, Every: 10 * time.Millisecond, Carts: shoal.Total,
		Help: "Time.", Buckets: []float64{1, 20, 25.5},
	}
	for _, c := range change {
		c(&config)
	}
	return testkit.StartChild(t, childEnv, config, config.env...)
}
