// SPDX-License-Identifier: Apache-2.0

//go:build unix

package examples

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// worker asks for the process that answers.
func worker(client *http.Client, addr string) (slot, process int, err error) {
	status, body, err := do(client, http.MethodGet, "http://"+addr+"/")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(body, "worker %d, process %d\n", &slot, &process); err != nil || status != http.StatusOK {
		return 0, 0, fmt.Errorf("%d %q: %w", status, body, err)
	}
	return slot, process, nil
}

// allWorkers asks until n workers have answered, and tells how often that was.
func allWorkers(t *testing.T, addr string, n int) (processes map[int]int, requests int) {
	t.Helper()
	processes = make(map[int]int)
	until(t, "all workers answer", func() error {
		for range 4 * n {
			slot, process, err := worker(fresh, addr)
			if err != nil {
				return err
			}
			requests++
			processes[slot] = process
		}
		if len(processes) < n {
			return fmt.Errorf("only %v", processes)
		}
		return nil
	})
	return processes, requests
}

func TestPrefork_EveryWorkerTellsTheNumberOfAllRequests(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	start(t, "prefork", "-addr", addr, "-workers", "3")
	_, sent := allWorkers(t, addr, 3)

	const clients, each = 20, 50
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for range each {
				if _, _, err := worker(client, addr); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	total := float64(sent + clients*each)
	until(t, "all requests are counted", says(addr, total, "http_requests_total", "route=/{$}", "method=GET", "code=200"))
	for range 30 { // whoever answers
		if err := says(addr, total, "http_requests_total")(); err != nil {
			t.Error(err)
		}
		if err := says(addr, total, "http_request_duration_seconds")(); err != nil {
			t.Error(err)
		}
	}
}

func TestPrefork_AKilledWorkerIsReplacedInItsPlace(t *testing.T) {
	t.Parallel()
	redis, addr := redisURL(t), freeAddr(t)
	p := start(t, "prefork", "-addr", addr, "-workers", "3", "-redis", redis)
	before, sent := allWorkers(t, addr, 3)
	until(t, "all requests are counted", says(addr, float64(sent), "http_requests_total"))

	if err := syscall.Kill(before[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another worker 1 answers", func() error {
		slot, process, err := worker(fresh, addr)
		if err != nil {
			return err
		}
		sent++
		if slot != 1 || process == before[1] {
			return fmt.Errorf("worker %d, process %d", slot, process)
		}
		return nil
	})
	until(t, "nothing that was flushed is lost", says(addr, float64(sent), "http_requests_total"))
	until(t, "three workers in three places", func() error {
		page, err := scrape(addr)
		if err != nil {
			return err
		}
		found := page["shoal_instance_info"].GetMetric()
		for slot := range 3 {
			if n := page.value("shoal_instance_info", "gauge_index="+strconv.Itoa(slot)); n != 1 || len(found) != 3 {
				return fmt.Errorf("%d instances, %v of them worker %d", len(found), n, slot)
			}
		}
		return nil
	})

	p.terminate()
	if out := p.out.String(); !strings.Contains(out, "worker 1 ended") {
		t.Errorf("its output says nothing of the death: %q", out)
	}
	exporter := freeAddr(t)
	start(t, "exporter", "-redis", redis, "-app", "prefork", "-addr", exporter)
	until(t, "all is there after the end", says(exporter, float64(sent), "http_requests_total"))
	if err := says(exporter, 0, "shoal_instance_info")(); err != nil {
		t.Error(err)
	}
}

func TestPrefork_WorkersEndWithTheirParent(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	p := start(t, "prefork", "-addr", addr, "-workers", "2", "-redis", redisURL(t))
	processes, _ := allWorkers(t, addr, 2)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the workers are gone", func() error {
		for slot, process := range processes {
			if err := syscall.Kill(process, 0); err == nil {
				return fmt.Errorf("worker %d is still there", slot)
			}
		}
		return nil
	})
	<-p.ended
	p.err = nil // it was killed
}
