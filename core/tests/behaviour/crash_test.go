// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// die ends the child process from within.
func (a *childApp) die(how string) {
	switch how {
	case "exit":
		defer func() { _ = a.reg.Close(context.Background()) }() // os.Exit skips it
		os.Exit(1)
	case "panic":
		panic("the end")
	case "panic, close deferred":
		defer func() { _ = a.reg.Close(context.Background()) }()
		panic("the end")
	case "panic in a goroutine": // main's deferred calls are skipped
		defer func() { _ = a.reg.Close(context.Background()) }()
		go panic("the end")
		select {}
	case "out of memory": // the runtime gives up; nothing deferred runs
		defer func() { _ = a.reg.Close(context.Background()) }()
		_ = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20})
		for hoard := [][]byte{}; ; {
			hoard = append(hoard, make([]byte, 64<<20))
		}
	case "signal":
		select {} // the parent sends it
	}
}

// died tells the child to die and waits for its end.
func died(c *testkit.Child, how string, sig syscall.Signal) *os.ProcessState {
	c.Send("die " + how)
	if sig != 0 {
		c.Signal(sig)
	}
	return c.Wait()
}

// However a process ends, what it had flushed stays. What it counted after its last flush,
// at most one interval, may be lost, but never a part of an increment. Its gauges vanish when
// its lease expires, and another process takes its index. After a Close nothing is lost, and
// nothing has to expire.
func TestCrash_LosesTheLastIntervalAtMost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		how    string
		signal syscall.Signal
		closes bool
		says   string
	}{
		"os.Exit skips deferred calls": {how: "exit"},
		"panic":                        {how: "panic", says: "panic: the end"},
		"panic with a deferred Close":  {how: "panic, close deferred", closes: true, says: "panic: the end"},
		"panic in another goroutine":   {how: "panic in a goroutine", says: "panic: the end"},
		"out of memory":                {how: "out of memory", says: "fatal error: "},
		"SIGTERM that nobody handles":  {how: "signal", signal: syscall.SIGTERM},
		"kill -9":                      {how: "signal", signal: syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fleetOn(t, redistest.Shared(t))
			c := f.spawn(t, func(c *childConfig) { c.Lease, c.Every = time.Second, 20*time.Millisecond })
			reader := f.reader(t)
			c.Tell("inc 100")
			c.Tell("set 5")
			testkit.EventuallyPage(t, reader, func(p testkit.Page) error { // the process flushes by itself at its interval
				return p.Has("jobs_total", "100", `depth{gauge_index="0"}`, "5", "shoal_instances", "1")
			})
			state := died(c, test.how, test.signal)
			if state.Success() {
				t.Error("the process ended in order")
			}
			if !strings.Contains(c.Said(), test.says) {
				t.Errorf("the process does not say %q", test.says)
			}
			gone := func(p testkit.Page) error {
				return errors.Join(p.Has("shoal_instances", "0"), p.Lacks("depth"), p.Lacks("shoal_instance_info"))
			}
			if test.closes {
				p := testkit.Scrape(t, reader)
				p.Want(t, "jobs_total", "107")
				testkit.Check(t, gone(p))
				f.wantNoTrace(t)
			} else {
				testkit.EventuallyPage(t, reader, gone)
				if v, _ := testkit.Scrape(t, reader).Value("jobs_total"); v != 100 && v != 107 {
					t.Errorf("jobs_total is %v, want 100 or 107", v)
				}
			}
			next := f.spawn(t)
			next.Tell("set 6")
			next.Tell("sync 1000")
			p := testkit.Scrape(t, reader)
			p.Want(t, `depth{gauge_index="0"}`, "6", "shoal_instances", "1")
			if v, _ := p.Value("jobs_total"); v != 1100 && v != 1107 {
				t.Errorf("jobs_total is %v, want 1100 or 1107", v)
			}
		})
	}
}

// serve starts a server as an application does, and ends the process when the server
// has ended. It returns the address. A request is served until its body ends.
func (a *childApp) serve() string {
	rec := httpmetrics.NewRecorder(a.reg, httpmetrics.Opts{})
	addr := make(chan string, 1)
	s := httpmetrics.NewServer("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, x := rec.Wrap(w, r, nil)
		defer x.End()
		_, _ = w.Write([]byte("begun\n"))
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		a.jobs.Inc()
		x.Returned()
	}))
	s.BaseContext = func(l net.Listener) context.Context {
		addr <- l.Addr().String()
		return context.Background()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		defer stop()
		if err := (httpmetrics.Graceful{CloseTimeout: time.Second}).Serve(ctx, a.reg, s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}()
	return <-addr
}

// SIGTERM comes while requests are under way: they are answered and counted, and the
// process leaves nothing in Redis. While Redis is away the process still ends in time, and
// says what is lost.
func TestCrash_SIGTERMDrainsTheRequestsUnderWay(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"Redis is there": false, "Redis is away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const requests = 5
			server := redistest.Start(t)
			f := fleetOn(t, server)
			c := f.spawn(t)
			c.Tell("set 5")
			addr := c.Tell("serve")
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			var bodies []*io.PipeWriter
			var answers sync.WaitGroup
			for range requests {
				body, w := io.Pipe()
				bodies = append(bodies, w)
				res, err := client.Post("http://"+addr, "", body)
				testkit.Must(t, err)
				answers.Go(func() {
					defer func() { _ = res.Body.Close() }()
					if text, err := io.ReadAll(res.Body); err != nil || string(text) != "begun\n" {
						t.Errorf("the answer is %q, %v", text, err)
					}
				})
			}
			reader := f.reader(t)
			testkit.EventuallyHas(t, reader, `http_requests_in_flight{gauge_index="0"}`, fmt.Sprint(requests))
			c.Signal(syscall.SIGTERM)
			testkit.Eventually(t, func() error {
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					_ = conn.Close()
					return errors.New("it still listens")
				}
				return nil
			})
			if away {
				server.Kill()
			}
			for _, w := range bodies {
				_ = w.Close()
			}
			answers.Wait()
			begin := time.Now()
			code := c.Wait().ExitCode()
			if away {
				if took := time.Since(begin); code != 3 || took > testkit.Patience/2 || !strings.Contains(c.Said(), "not delivered: values of") {
					t.Errorf("it ended with %d after %v and says %q", code, took, c.Said())
				}
				return
			}
			if code != 0 {
				t.Errorf("it ended with %d", code)
			}
			p := testkit.Scrape(t, reader)
			p.Want(t, "jobs_total", fmt.Sprint(requests), "shoal_instances", "0",
				`http_requests_total{code="200",method="POST",route="unmatched"}`, fmt.Sprint(requests))
			p.WantNone(t, "http_requests_in_flight", "depth")
			f.wantNoTrace(t)
		})
	}
}
