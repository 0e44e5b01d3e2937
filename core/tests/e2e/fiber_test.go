// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Who starts the processes of the fiber example: shoal's package prefork, or fiber.
const (
	byShoal = "-prefork"
	byFiber = "-fiber"
)

// startFibers is startFleet for the fiber example. The pids are by themselves.
func startFibers(t *testing.T, url, by string, processes int) *fleet {
	t.Helper()
	f := &fleet{addr: redistest.FreeAddr(t), pids: map[int]int{}}
	n := strconv.Itoa(processes)
	cmd := exec.Command("env", "GOMAXPROCS="+n, filepath.Join(binaries, "fiber"), by, "-addr", f.addr, "-workers", n) // an example
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.program = launch(t, url, cmd)
	testkit.Eventually(t, func() error {
		pid, err := f.process()
		if err == nil {
			f.pids[pid] = pid
		}
		if len(f.pids) < processes {
			return fmt.Errorf("only %v answered, %w", f.pids, err)
		}
		return nil
	})
	return f
}

// process makes a request and returns which process answered.
func (f *fleet) process() (pid int, err error) {
	status, body, err := testkit.Do(f.t.Context(), http.MethodGet, "http://"+f.addr+"/")
	if err != nil {
		return 0, err
	}
	f.asked++
	if _, err := fmt.Sscanf(body, "process %d\n", &pid); err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("%d %q: %w", status, body, err)
	}
	return pid, nil
}

// lastTotal is the number of requests that Redis has, when all processes have ended.
func lastTotal(t *testing.T, redis string) float64 {
	t.Helper()
	exporter := redistest.FreeAddr(t)
	start(t, "exporter", "-redis", redis, "-app", "shop", "-addr", exporter)
	isUp(t, exporter)
	p, err := scrape(t, exporter)
	testkit.Must(t, err)
	return p.Sum("http_requests_total")
}

// killUnderLoad kills a process when load has gone on for a while. It returns the load, how
// many requests were answered by then, and how many of these in the last two intervals: the
// present one, and that of the flush under way. So many may be lost.
func (f *fleet) killUnderLoad(pid int) (l *load, bound, atKill int) {
	f.t.Helper()
	l = f.startLoad(8)
	begin := time.Now()
	counts := map[time.Time]int{begin: 0}
	testkit.Eventually(f.t, func() error {
		counts[time.Now()] = l.count()
		if time.Since(begin) < 2*freshness {
			return fmt.Errorf("load goes on for %v so far", time.Since(begin))
		}
		return nil
	})
	testkit.Must(f.t, syscall.Kill(pid, syscall.SIGKILL))
	f.killed = true
	killed, atKill := time.Now(), l.count()
	before := slices.DeleteFunc(slices.SortedFunc(maps.Keys(counts), time.Time.Compare), func(t time.Time) bool { return killed.Sub(t) < freshness })
	return l, atKill - counts[before[len(before)-1]], atKill
}

// wantLost checks how many answered requests are not counted.
func wantLost(t *testing.T, answered int, counted float64, bound int) {
	t.Helper()
	if lost := float64(answered) - counted; lost > float64(bound) {
		t.Errorf("%v of %d answered requests are lost, more than the %d of two intervals", lost, answered, bound)
	} else {
		t.Logf("%v of %d answered requests are lost, at most %d may be", lost, answered, bound)
	}
}

func TestFiber_EveryProcessSaysExactlyTenThousandAfterTwoIntervals(t *testing.T) {
	t.Parallel()
	for _, by := range []string{byShoal, byFiber} {
		for name, url := range map[string]string{"embedded": "", "real": redistest.Start(t).URL()} {
			t.Run(name+by, func(t *testing.T) {
				f := startFibers(t, url, by, 4)
				before := f.steadyTotal()
				const requests, connections = 10_000, 64
				var group sync.WaitGroup
				for c := range connections {
					group.Go(func() {
						client := &http.Client{Transport: &http.Transport{}}
						defer client.CloseIdleConnections()
						for i := c; i < requests; i += connections {
							testkit.Check(t, ask(client, f.addr))
						}
					})
				}
				group.Wait()
				<-time.After(freshness) // after that time every page must be exact
				for range 40 {          // pages of all processes
					if total, err := f.total(); err != nil || total-before != requests {
						t.Fatalf("a page says %v requests, %v; want %d", total-before, err, requests)
					}
				}
				p, err := scrape(t, f.addr)
				testkit.Must(t, err)
				if n := len(p.Labels("http_requests_in_flight")); n != 4 {
					t.Errorf("%d processes have a gauge of their own, want 4: %v", n, p.Labels("http_requests_in_flight"))
				}
				if by == byFiber { // its children are not told to end
					_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
					<-f.ended
					f.err = nil
					areGone(t, f.pids)
				}
			})
		}
	}
}

// If one process of fiber's prefork is killed, all end at once. What they had not sent is lost.
func TestFiber_AKilledProcessOfFibersPreforkEndsAllAndLosesAtMostAnInterval(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"the master", "a child"} {
		t.Run(who, func(t *testing.T) {
			redis := redistest.Start(t).URL()
			f := startFibers(t, redis, byFiber, 3)
			before := f.steadyTotal()
			pid := f.cmd.Process.Pid
			if who == "a child" {
				pid = slices.Collect(maps.Keys(f.pids))[0]
			}
			l, bound, atKill := f.killUnderLoad(pid)
			areGone(t, f.pids)
			<-f.ended
			if f.err == nil {
				t.Error("it ended without an error")
			}
			f.err = nil
			answered, failed := l.end() // requests after the end fail
			bound += answered - atKill  // children serve until they notice that the master is gone
			if failed == nil {
				t.Error("no request has failed")
			}
			wantLost(t, answered, lastTotal(t, redis)-before, bound)
		})
	}
}

func TestFiber_AKilledWorkerIsReplacedAndLosesAtMostWhatItHadNotFlushed(t *testing.T) {
	t.Parallel()
	f := startFibers(t, redistest.Start(t).URL(), byShoal, 3)
	before := f.steadyTotal()
	victim := slices.Collect(maps.Keys(f.pids))[0]
	l, bound, _ := f.killUnderLoad(victim)
	asked, successor := f.asked, 0
	testkit.Eventually(t, func() error {
		pid, err := f.process()
		if err == nil && f.pids[pid] == 0 {
			successor = pid
		}
		if err == nil && successor == 0 {
			err = errors.New("no successor answers")
		}
		return err
	})
	answered, _ := l.end() // those on the victim's connections may have failed
	wantLost(t, answered, f.steadyTotal()-before-float64(f.asked-asked), bound)
	p, err := scrape(t, f.addr)
	testkit.Must(t, err)
	if n := len(p.Labels("http_requests_in_flight")); n != 3 {
		t.Errorf("%d processes have a gauge: the successor takes over its predecessor's", n)
	}
}

func TestFiber_SIGTERMUnderLoadLosesNoAnsweredRequest(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	f := startFibers(t, redis, byShoal, 3)
	before := f.steadyTotal()
	l := f.startLoad(8)
	l.more(t, 1000, nil)
	f.terminate()
	answered, _ := l.end() // requests after the end of the program fail
	areGone(t, f.pids)
	// A request that was handled, but whose answer could not be sent any more, is counted.
	if counted := lastTotal(t, redis) - before; counted < float64(answered) {
		t.Errorf("%v requests counted, %d were answered", counted, answered)
	}
}

func TestFiber_ARollUnderLoadFailsNoRequestAndCountsEach(t *testing.T) {
	t.Parallel()
	f := startFibers(t, redistest.Start(t).URL(), byShoal, 3)
	before := f.steadyTotal()
	l := f.startLoad(8)
	l.more(t, 500, nil)
	testkit.Must(t, f.cmd.Process.Signal(syscall.SIGHUP))
	asked, others := f.asked, map[int]bool{}
	l.more(t, 500, func() error {
		pid, err := f.process()
		if err != nil {
			return err
		}
		if others[pid] = true; f.pids[pid] != 0 {
			delete(others, pid)
			return errors.New("an old worker answers")
		}
		if len(others) < 3 {
			return fmt.Errorf("new workers are %v", others)
		}
		return nil
	})
	areGone(t, f.pids)
	answered, err := l.end()
	testkit.Check(t, err)
	if counted := f.steadyTotal() - before - float64(f.asked-asked); counted != float64(answered) {
		t.Errorf("%v requests counted, %d were answered", counted, answered)
	}
}
