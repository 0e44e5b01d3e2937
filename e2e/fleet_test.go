// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// patience bounds every wait. The machines are slow and shared; nothing here
// asserts how long something takes, but for the promise of two intervals.
const patience = 60 * time.Second

// binary is the prefork example, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "shoal-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "prefork")
	build := exec.Command("go", "build", "-o", binary, "./prefork")
	build.Dir = filepath.Join("..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the example: %v\n%s", err, out)
		os.Exit(1)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	redistest.Main(m)
}

// fleet is a running prefork example: a parent and its workers.
type fleet struct {
	t      *testing.T
	addr   string
	cmd    *exec.Cmd
	log    *syncBuffer
	exited chan struct{}
	client *http.Client
}

// startFleet starts the example with four workers, on the Redis at url or, if
// that is empty, on its embedded one.
func startFleet(t *testing.T, url string) *fleet {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, addr: addr, log: new(syncBuffer), exited: make(chan struct{})}
	f.cmd = exec.Command(binary, "-addr", addr, "-workers", "4")
	f.cmd.Env = append(os.Environ(), "REDIS_URL="+url)
	f.cmd.Stdout, f.cmd.Stderr = f.log, f.log
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = f.cmd.Wait()
		close(f.exited)
	}()
	f.client = newClient()
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		f.terminate()
		if t.Failed() {
			t.Logf("output of the example:\n%s", f.log)
		}
	})
	f.until("the example answers", func() error {
		_, err := f.worker(newClient())
		return err
	})
	return f
}

// newClient returns a client that makes a connection for each request, so that
// any worker may answer.
func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

// terminate asks the parent to end and waits until it has.
func (f *fleet) terminate() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(patience):
		f.t.Error("the example did not end on SIGTERM")
		_ = f.cmd.Process.Kill()
		<-f.exited
	}
}

// until polls until check returns nil.
func (f *fleet) until(what string, check func() error) {
	f.t.Helper()
	until(f.t, what, func() error {
		err := check()
		select {
		case <-f.exited:
			if err != nil {
				f.t.Fatalf("%s: the example has ended: %v", what, err)
			}
		default:
		}
		return err
	})
}

// until polls until check returns nil.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// worker makes a request and returns the process id of the worker that
// answered.
func (f *fleet) worker(client *http.Client) (int, error) {
	body, status, err := f.get(client, "/")
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s", status, body)
	}
	_, text, _ := strings.Cut(string(body), "process ")
	return strconv.Atoi(strings.TrimSpace(text))
}

func (f *fleet) get(client *http.Client, path string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+f.addr+path, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return body, resp.StatusCode, err
}

// workers finds n distinct workers by asking until they have all answered.
func (f *fleet) workers(n int) map[int]bool {
	f.t.Helper()
	pids := map[int]bool{}
	f.until(fmt.Sprintf("%d workers answer", n), func() error {
		for range 4 * n {
			pid, err := f.worker(f.client)
			if err != nil {
				return err
			}
			pids[pid] = true
		}
		for pid := range pids {
			if syscall.Kill(pid, 0) != nil {
				delete(pids, pid)
			}
		}
		if len(pids) < n {
			return fmt.Errorf("%d so far", len(pids))
		}
		return nil
	})
	return pids
}

// load is a number of clients that make requests until they are stopped.
type load struct {
	group    sync.WaitGroup
	stop     chan struct{}
	mu       sync.Mutex
	answered int
	failures []error
}

// startLoad starts clients with lasting connections. Each request that was
// answered with 200 is counted; anything else is a failure.
func (f *fleet) startLoad(clients int) *load {
	l := &load{stop: make(chan struct{})}
	for range clients {
		l.group.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Millisecond): // a pause, so that the machine keeps up
				}
				_, status, err := f.get(client, "/")
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("status %d", status)
				}
				l.mu.Lock()
				if err == nil {
					l.answered++
				} else {
					l.failures = append(l.failures, err)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

// end stops the clients and returns how many requests were answered and which
// were not.
func (l *load) end() (answered int, failed error) {
	close(l.stop)
	l.group.Wait()
	return l.answered, errors.Join(l.failures...)
}

// syncBuffer is a buffer that two processes' outputs share.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
