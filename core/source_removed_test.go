// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// slow is a source of one counter that reads it at once, and returns later.
type slow struct {
	delay      atomic.Int64
	mu         sync.Mutex
	value      float64
	busy       bool
	overlapped bool
}

func (s *slow) set(v float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

func (s *slow) Collect(context.Context) ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	v := s.value
	s.overlapped = s.overlapped || s.busy
	s.busy = true
	s.mu.Unlock()
	time.Sleep(time.Duration(s.delay.Load()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	return []*dto.MetricFamily{familyOf("c", counterOf(v))}, nil
}

func TestSource_AddedAgainDuringItsLastCallCountsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		s := &slow{value: 5}
		s.delay.Store(int64(3 * time.Second))
		remove := add(t, r, s, SourceOpts{Period: time.Hour})
		time.Sleep(time.Second)
		remove()
		s.set(8)
		s.delay.Store(0)
		remove = add(t, r, s, SourceOpts{Period: time.Hour})
		elapse(10 * time.Second)
		flush(t, r)
		s.set(9)
		flush(t, r)
		remove()
		if s.overlapped {
			t.Error("two calls overlap")
		}
		scrape(t, r).want(t, samples{"c": 9})
	})
}

func TestSource_RemovedDuringACallLosesNothingOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		var mu sync.Mutex
		pending := 5.0
		remove, err := r.AddSource(sourceFunc(func(context.Context) ([]*dto.MetricFamily, error) {
			mu.Lock()
			v := pending
			pending = 0
			mu.Unlock()
			time.Sleep(time.Second)
			return []*dto.MetricFamily{familyOf("c", counterOf(v)), familyOf("g", gaugeOf(1))}, nil
		}), SourceOpts{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		remove()
		elapse(5 * time.Second)
		page := scrape(t, r)
		page.want(t, samples{"c": 5})
		page.lacks(t, "g") // a source that was removed has none
	})
}

func TestSource_AddedAndRemovedAtOnceCountsNothingTwice(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	s := new(given)
	s.set(nil, familyOf("c", counterOf(1)))
	remove := add(t, r, s, SourceOpts{})
	for range 1000 {
		var group sync.WaitGroup
		group.Go(remove)
		var next func()
		var mu sync.Mutex
		for range 3 {
			group.Go(func() {
				for {
					mu.Lock()
					done := next != nil
					mu.Unlock()
					if done {
						return
					}
					if n, err := r.AddSource(s, SourceOpts{Cumulative: true}); err == nil {
						mu.Lock()
						next = n
						mu.Unlock()
					}
				}
			})
		}
		group.Wait()
		remove = next
	}
	flush(t, r)
	scrape(t, r).want(t, samples{"c": 1})
}

func TestSource_MayBeRemovedByWhoHearsOfItsTrouble(t *testing.T) {
	removed := make(chan struct{})
	var remove func()
	once := sync.OnceFunc(func() {
		remove()
		close(removed)
	})
	r := process(t, memstore.New(), Opts{OnError: func(error) { once() }})
	s := new(given)
	remove = add(t, r, s, SourceOpts{Period: time.Hour})
	flush(t, r)
	s.set(nil, familyOf("c", counterOf(1)), familyOf("g", gaugeOf(1)), familyOf("d", counterOf(-1)))
	flush(t, r)
	select {
	case <-removed:
	case <-time.After(10 * time.Second):
		t.Fatal("remove does not return")
	}
	flush(t, r)
	scrape(t, r).want(t, samples{"c": 1})
	scrape(t, r).lacks(t, "g")
}
