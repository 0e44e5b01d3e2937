// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestPrefork_EveryWorkerSaysExactlyTenThousandAfterTwoIntervals(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"embedded": nil, "real": nil, "gin": {"-gin"}} {
		t.Run(name, func(t *testing.T) {
			url := ""
			if name != "embedded" {
				url = redistest.Start(t).URL()
			}
			f := startFleet(t, url, 4, args...)
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
			for range 40 {          // pages of all workers
				if total, err := f.total(); err != nil || total-before != requests {
					t.Fatalf("a page says %v requests, %v; want %d", total-before, err, requests)
				}
			}
		})
	}
}

// A killed worker loses at most what it had not flushed. Its
// successor takes its index at once: no page shows a fifth one.
func TestPrefork_AKilledWorkerLosesAtMostWhatItHadNotFlushed(t *testing.T) {
	t.Parallel()
	f := startFleet(t, redistest.Start(t).URL(), 4)
	before, rises := f.steadyTotal(), testkit.Rising{}
	page := func() (testkit.Page, error) { // an error if a total fell
		p, err := scrape(t, f.addr)
		if err == nil {
			testkit.Check(t, rises.Check(p))
			for _, labels := range append(p.Labels("http_requests_in_flight"), p.Labels("shoal_instance_info")...) {
				if !slices.ContainsFunc(labels, func(l string) bool { return l >= "gauge_index=0" && l <= "gauge_index=3" }) {
					t.Errorf("a page has %q", labels)
				}
			}
		}
		return p, err
	}
	l := f.startLoad(8)
	// What a worker had not flushed is at most what all workers answered in the last
	// two intervals: the present one, and that of the flush under way.
	type sample struct {
		at    time.Time
		count int
	}
	begin := time.Now()
	samples := []sample{{begin, 0}}
	testkit.Eventually(t, func() error {
		samples = append(samples, sample{time.Now(), l.count()})
		if time.Since(begin) < 2*freshness {
			return fmt.Errorf("load goes on for %v so far", time.Since(begin))
		}
		_, err := page()
		return err
	})
	testkit.Must(t, syscall.Kill(f.pids[1], syscall.SIGKILL))
	f.killed = true
	killed := sample{time.Now(), l.count()}
	for len(samples) > 1 && killed.at.Sub(samples[1].at) >= freshness {
		samples = samples[1:]
	}
	bound := killed.count - samples[0].count
	asked := f.asked
	testkit.Eventually(t, func() error {
		if _, err := page(); err != nil {
			return err
		}
		index, pid, err := f.worker()
		if err == nil && (index != 1 || pid == f.pids[1]) {
			err = fmt.Errorf("worker %d, process %d answers", index, pid)
		}
		return err
	})
	answered, err := l.end()
	if answered == 0 {
		t.Fatal(err)
	}
	counted := f.steadyTotal() - before - float64(f.asked-asked)
	if lost := float64(answered) - counted; lost > float64(bound) {
		t.Errorf("%v of %d answered requests are lost, more than the %d of two intervals", lost, answered, bound)
	} else {
		t.Logf("%v of %d answered requests are lost, at most %d may be", lost, answered, bound)
	}
	testkit.Eventually(t, func() error {
		p, err := page()
		if err != nil {
			return err
		}
		for _, family := range []string{"http_requests_in_flight", "shoal_instance_info"} {
			all := p.Labels(family)
			for index := range 4 {
				of := func(labels []string) bool { return slices.Contains(labels, "gauge_index="+strconv.Itoa(index)) }
				if len(all) != 4 || !slices.ContainsFunc(all, of) {
					return fmt.Errorf("%s of %q", family, all)
				}
			}
		}
		return nil
	})
	if len(f.out.Of("worker 1 ended")) == 0 {
		t.Errorf("its output says nothing of the death: %q", &f.out)
	}
}

func TestPrefork_SIGTERMUnderLoadLosesNoAnsweredRequest(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	f := startFleet(t, redis, 4)
	before := f.steadyTotal()
	l := f.startLoad(8)
	l.more(t, 1000, nil)
	f.terminate()
	answered, _ := l.end() // requests after the end of the program fail
	areGone(t, f.pids)
	isCounted(t, redis, before, answered)
}

func TestPrefork_WorkersWhoseParentIsKilledEndAndLoseNoAnsweredRequest(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	f := startFleet(t, redis, 2)
	before := f.steadyTotal()
	l := f.startLoad(8)
	l.more(t, 500, nil)
	testkit.Must(t, f.cmd.Process.Kill())
	areGone(t, f.pids)
	<-f.ended
	f.err = nil // since it was killed
	answered, _ := l.end()
	isCounted(t, redis, before, answered)
}

// All workers are replaced, one by one, and nobody notices.
func TestPrefork_ARollUnderLoadRefusesNoRequestAndLosesNone(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"nethttp": nil, "gin": {"-gin"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t).URL()
			f := startFleet(t, redis, 4, args...)
			before := f.steadyTotal()
			asked, former := f.asked, f.pids
			l := f.startLoad(8)
			l.more(t, 200, nil)
			testkit.Must(t, syscall.Kill(f.cmd.Process.Pid, syscall.SIGHUP))
			l.more(t, 1000, func() error {
				if len(f.out.Of("the roll has replaced all workers")) == 0 {
					return fmt.Errorf("the roll goes on")
				}
				return nil
			})
			answered, err := l.end()
			if err != nil {
				t.Errorf("of %d requests, some were not answered: %v", answered, err)
			}
			areGone(t, former)
			if counted := f.steadyTotal() - before - float64(f.asked-asked); counted != float64(answered) {
				t.Errorf("%v requests are counted, %d were answered", counted, answered)
			}
			f.pids = map[int]int{}
			f.allAnswer(4)
			for number, pid := range f.pids {
				if pid == former[number] {
					t.Errorf("worker %d is still process %d", number, pid)
				}
			}
		})
	}
}

// Two pods have a worker 0 each. None takes the index of another one that lives.
func TestPrefork_TwoParentsWithOneAppDoNotFightForIndexes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	fleets := []*fleet{startFleet(t, server.URL(), 2), startFleet(t, server.URL(), 2)}
	leases := func() map[string]string { // the writers by their fields
		writers := map[string]string{}
		for field, entry := range client.HGetAll(t.Context(), "shoal:1:{prefork}:leases").Val() {
			if strings.HasPrefix(field, "i:") {
				writers[field], _, _ = strings.Cut(entry, " ")
			}
		}
		return writers
	}
	testkit.Eventually(t, func() error {
		if now := leases(); len(now) != 4 {
			return fmt.Errorf("the leases are %v", now)
		}
		return nil
	})
	for range 2 {
		before := leases()
		for _, f := range fleets {
			testkit.Must(t, syscall.Kill(f.pids[0], syscall.SIGKILL))
		}
		testkit.Eventually(t, func() error {
			now, replaced := leases(), 0
			for index, writer := range now {
				if before[index] != writer {
					replaced++
				}
			}
			if len(now) > 4 || replaced > 2 {
				t.Fatalf("the leases were %v and are %v", before, now)
			}
			if replaced < 2 {
				return fmt.Errorf("the leases were %v and are %v", before, now)
			}
			return nil
		})
		for _, f := range fleets {
			delete(f.pids, 0)
			f.allAnswer(2)
		}
	}
}

// isCounted checks that a page shows at least the answered requests, and no process that lives. A
// request that was handled, but whose answer could not be sent any more, is counted and was not
// answered. So more may be counted than answered, but not less.
func isCounted(t *testing.T, redis string, before float64, answered int) {
	t.Helper()
	exporter := redistest.FreeAddr(t)
	start(t, "exporter", "-redis", redis, "-app", "prefork", "-addr", exporter)
	isUp(t, exporter)
	p, err := scrape(t, exporter)
	testkit.Must(t, err)
	if total := p.Sum("http_requests_total"); total-before < float64(answered) {
		t.Errorf("%v requests counted, %d were answered", total-before, answered)
	}
	p.WantNone(t, "shoal_instance_info")
}
