// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// settle is the promise of freshness: two flush intervals, each jittered by a
// tenth.
const settle = 2 * shoal.DefInterval * 11 / 10

func TestPrefork_EveryWorkerSaysExactlyTenThousandAfterTwoIntervals(t *testing.T) {
	t.Parallel()
	for _, redis := range []string{"embedded", "real"} {
		t.Run(redis, func(t *testing.T) {
			url := ""
			if redis == "real" {
				url = redistest.Start(t).URL()
			}
			f := startFleet(t, url)
			seen := len(f.workers(4)) // some requests, whose number we read off
			before := f.settled()
			const requests, connections = 10_000, 64
			var group sync.WaitGroup
			for c := range connections {
				group.Go(func() {
					client := &http.Client{Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					for i := c; i < requests; i += connections {
						if _, err := f.worker(client); err != nil {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			<-time.After(settle) // the promise itself, and no wait for something to happen
			for range 10 * seen {
				p, err := f.scrape()
				if err != nil {
					t.Fatal(err)
				}
				counted, observed := p.requests()
				if counted-before != requests || observed-before != requests {
					t.Fatalf("a page says %v requests and %v observations, want %d", counted-before, observed-before, requests)
				}
			}
		})
	}
}

// settled waits until two intervals brought no change, and returns the total.
func (f *fleet) settled() float64 {
	f.t.Helper()
	last, since := -1.0, time.Now()
	f.until("the total settles", func() error {
		p, err := f.scrape()
		if err != nil {
			return err
		}
		if total, _ := p.requests(); total != last {
			last, since = total, time.Now()
		}
		if time.Since(since) < settle {
			return fmt.Errorf("%v requests since %v", last, since)
		}
		return nil
	})
	return last
}

func TestPrefork_KilledWorkersLoseAtMostWhatTheyHadNotFlushed(t *testing.T) {
	t.Parallel()
	f := startFleet(t, redistest.Start(t).URL())
	pids := f.workers(4)
	before := f.settled()
	l := f.startLoad(8)
	highest := before
	watch := func() error { // totals never fall
		p, err := f.scrape()
		if err != nil {
			return err
		}
		total, _ := p.requests()
		if total < highest {
			t.Errorf("the total fell from %v to %v", highest, total)
		}
		highest = max(highest, total)
		return nil
	}
	// What a worker had not flushed is at most what all of them answered in the
	// last two intervals: one that passes, and one for the flush under way.
	type sample struct {
		at    time.Time
		count int
	}
	begin := time.Now()
	samples := []sample{{begin, 0}}
	f.until("load goes on for a while", func() error {
		samples = append(samples, sample{time.Now(), l.count()})
		if time.Since(begin) < 2*settle {
			return fmt.Errorf("%v so far", time.Since(begin))
		}
		return watch()
	})
	victim := slices.Collect(maps.Keys(pids))[0]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := sample{time.Now(), l.count()}
	for len(samples) > 1 && killed.at.Sub(samples[1].at) >= settle {
		samples = samples[1:]
	}
	bound := killed.count - samples[0].count
	f.until("the worker is replaced", func() error {
		if err := watch(); err != nil {
			return err
		}
		for range 16 {
			other, err := f.worker(f.client)
			if err != nil {
				return err
			}
			before++ // this request counts as well
			if !pids[other] {
				return nil
			}
		}
		return fmt.Errorf("no new worker answered")
	})
	answered, err := l.end()
	if answered == 0 {
		t.Fatal(err)
	}
	total := f.settled()
	if lost := float64(answered) - (total - before); lost > float64(bound) {
		t.Errorf("%v of %d answered requests are lost, more than the %d of two intervals", lost, answered, bound)
	} else {
		t.Logf("%v of %d answered requests are lost, at most %d may be", lost, answered, bound)
	}
	f.until("the dead worker's gauges are gone and its successor has its index", func() error {
		p, err := f.scrape()
		if err != nil {
			return err
		}
		if err := watch(); err != nil {
			return err
		}
		for _, family := range []string{"http_requests_in_flight", "shoal_instance_info"} {
			found := p.indices(family)
			if len(found) != 4 || !found["0"] || !found["1"] || !found["2"] || !found["3"] {
				return fmt.Errorf("%s of %v", family, found)
			}
		}
		return nil
	})
}

func TestPrefork_SIGTERMUnderLoadLosesNoAnsweredRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, server.URL())
	f.workers(4)
	before := f.settled()
	l := f.startLoad(8)
	enough := 1000 + rand.N(200)
	f.until("load goes on", func() error {
		if l.count() < enough {
			return fmt.Errorf("%d requests", l.count())
		}
		return nil
	})
	f.terminate()
	answered, _ := l.end() // those after the end failed

	reg := shoal.New()
	if err := reg.Open(server.URL(), shoal.Opts{App: "prefork", ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reg.Close(context.Background()) }()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	p := page{}
	for _, family := range families {
		p[family.GetName()] = family
	}
	// A request that was handled while its answer could not be sent any more
	// is counted and was not answered: more is possible, less is not.
	if total, _ := p.requests(); total-before < float64(answered) {
		t.Errorf("%v requests counted, %d were answered", total-before, answered)
	}
	if n := len(p["shoal_instance_info"].GetMetric()); n != 0 {
		t.Errorf("%d processes are still shown after the end", n)
	}
}
