// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// binaries is where the examples are, built once.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = redistest.TempDir(); err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", binaries, "./...") // the examples
	build.Dir = filepath.Join("..", "..", "..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the examples: %v\n%s", err, out)
		os.Exit(1)
	}
	redistest.Parallel(6)
	redistest.Main(m)
}

// program is a running example.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   testkit.Heard
	ended chan struct{}
	err   error // how it ended; read it after ended is closed
}

// start runs an example without REDIS_URL, at most until the end of the test.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return startWith(t, "", name, args...)
}

// startWith is start with REDIS_URL set.
func startWith(t *testing.T, redis, name string, args ...string) *program {
	t.Helper()
	return launch(t, redis, exec.Command(filepath.Join(binaries, name), args...)) // an example
}

func launch(t *testing.T, redis string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REDIS_URL=") })
	if redis != "" {
		p.cmd.Env = append(p.cmd.Env, "REDIS_URL="+redis)
	}
	// Otherwise Wait would not return while descendants hold the output open.
	p.cmd.WaitDelay = testkit.Patience
	testkit.Must(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.terminate()
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(cmd.Path), &p.out)
		}
	})
	return p
}

// wait waits until the program ends, which must be without an error.
func (p *program) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(testkit.Patience):
		p.t.Error("the example does not end")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.err != nil {
		p.t.Errorf("the example ended with: %v", p.err)
	}
}

// terminate sends SIGTERM to the program and waits for its end.
func (p *program) terminate() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
}

// scrape reads the page of any process that answers at an address.
func scrape(t *testing.T, addr string) (testkit.Page, error) {
	return testkit.Fetch(t.Context(), "http://"+addr+"/metrics")
}

// isUp waits until there is a page.
func isUp(t *testing.T, addr string) {
	t.Helper()
	testkit.Eventually(t, func() error { _, err := scrape(t, addr); return err })
}

// sum returns an error unless the page shows this sum: see [testkit.Page.Sum].
func sum(t *testing.T, addr string, want float64, family string, labels ...string) error {
	p, err := scrape(t, addr)
	if err != nil {
		return err
	}
	if got := p.Sum(family, labels...); got != want {
		return fmt.Errorf("%s%v is %v, want %v", family, labels, got, want)
	}
	return nil
}

// says waits until the page shows this sum.
func says(t *testing.T, addr string, want float64, family string, labels ...string) {
	t.Helper()
	testkit.Eventually(t, func() error { return sum(t, addr, want, family, labels...) })
}

// request makes requests, which must be answered with this status.
func request(t *testing.T, times int, method, addr, path string, want int) {
	t.Helper()
	for range times {
		if status, body, err := testkit.Do(t.Context(), method, "http://"+addr+path); err != nil || status != want {
			t.Errorf("%s %s: %d %q, %v", method, path, status, body, err)
		}
	}
}

// areGone waits until all processes have ended.
func areGone(t *testing.T, pids map[int]int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		for index, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("worker %d is still there", index)
			}
		}
		return nil
	})
}

// stopsListening waits until nothing listens at addr any more. The program must still run.
func (p *program) stopsListening(addr string) {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	select {
	case <-p.ended:
		p.t.Fatalf("it ended with a request under way: %v", p.err)
	default:
	}
}
