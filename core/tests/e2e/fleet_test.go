// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// fleet is a running prefork example: a parent and its workers.
type fleet struct {
	*program
	addr   string
	pids   map[int]int // of the workers at the start, by their number
	killed bool        // a process was killed by kill -9
	asked  int         // requests that [fleet.worker] made
}

// startFleet starts the example with some workers, with the Redis at url or, if
// url is empty, the embedded one, and waits until each worker has answered.
func startFleet(t *testing.T, url string, workers int, args ...string) *fleet {
	t.Helper()
	f := &fleet{addr: redistest.FreeAddr(t), pids: map[int]int{}}
	args = append(args, "-addr", f.addr, "-workers", strconv.Itoa(workers))
	cmd := exec.Command(filepath.Join(binaries, "prefork"), args...) // an example
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}            // as a shell does
	f.program = launch(t, url, cmd)
	f.allAnswer(workers)
	return f
}

// allAnswer waits until so many workers have answered, and notes their processes.
func (f *fleet) allAnswer(workers int) {
	f.t.Helper()
	testkit.Eventually(f.t, func() error {
		number, pid, err := f.worker()
		if err == nil {
			f.pids[number] = pid
		}
		if len(f.pids) < workers {
			return fmt.Errorf("only %v answered, %w", f.pids, err)
		}
		return nil
	})
}

// worker makes a request and returns which process answered.
func (f *fleet) worker() (index, pid int, err error) {
	status, body, err := testkit.Do(f.t.Context(), http.MethodGet, "http://"+f.addr+"/")
	if err != nil {
		return 0, 0, err
	}
	f.asked++
	if _, err := fmt.Sscanf(body, "worker %d, process %d\n", &index, &pid); err != nil || status != http.StatusOK {
		return 0, 0, fmt.Errorf("%d %q: %w", status, body, err)
	}
	return index, pid, nil
}

// total returns the number of requests on a page. Counter and histogram must agree, but for what
// a killed process had sent of the one and not of the other.
func (f *fleet) total() (float64, error) {
	p, err := scrape(f.t, f.addr)
	if err != nil {
		return 0, err
	}
	counted, observed := p.Sum("http_requests_total"), p.Sum("http_request_duration_seconds")
	if counted != observed && !f.killed {
		err = fmt.Errorf("%v requests are counted, the durations of %v are observed", counted, observed)
	}
	return counted, err
}

// freshness is how old a page may be: two flush intervals, each with a tenth of jitter.
const freshness = 2 * shoal.DefInterval * 11 / 10

// steadyTotal waits until the total has not changed for two intervals, and returns it.
func (f *fleet) steadyTotal() float64 {
	f.t.Helper()
	last, since := -1.0, time.Now()
	testkit.Eventually(f.t, func() error {
		total, err := f.total()
		if total != last {
			last, since = total, time.Now()
		}
		if err == nil && time.Since(since) < freshness {
			err = fmt.Errorf("%v requests since %v", last, since)
		}
		return err
	})
	return last
}

// load is a number of clients that make requests until they are stopped.
type load struct {
	group    sync.WaitGroup
	stop     chan struct{}
	mu       sync.Mutex
	answered int     // guarded by mu
	failures []error // guarded by mu
}

// startLoad starts clients with keep-alive connections. Each request that is
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
				case <-time.After(time.Millisecond): // so that the machine is not overloaded
				}
				l.note(ask(client, f.addr))
			}
		})
	}
	return l
}

// ask makes a request that is to be answered with 200.
func ask(client *http.Client, addr string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.answered++
	} else {
		l.failures = append(l.failures, err)
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

// more waits until n more requests are answered, and until happened returns nil.
func (l *load) more(t *testing.T, n int, happened func() error) {
	t.Helper()
	from := l.count()
	testkit.Eventually(t, func() error {
		if got := l.count() - from; got < n {
			return fmt.Errorf("%d requests of %d are answered", got, n)
		}
		if happened == nil {
			return nil
		}
		return happened()
	})
}

// end stops the clients and returns how many requests were answered, and the errors of
// the others.
func (l *load) end() (answered int, failed error) {
	close(l.stop)
	l.group.Wait()
	return l.answered, errors.Join(l.failures...)
}
