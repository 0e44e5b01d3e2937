// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// meetOften makes additions meet at a sum's home as often as it takes to spread it.
func meetOften(t testing.TB, s *sum, counts []uint64) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0))))
	// The clock may reach the next second once.
	for range 2*manyMeetings - 1 {
		s.meet(counts)
	}
	if s.cells.Load() == nil {
		t.Fatal("the sum is not spread")
	}
}

// addTo adds v to a cell of a sum that is spread.
func (s *sum) addTo(cell int, v float64) {
	list := s.cells.Load().list
	for !list[cell%len(list)].add(v) {
		runtime.Gosched()
	}
}

// aloneAndSpread runs a test with a sum in each of its two states.
func aloneAndSpread(t *testing.T, n int, test func(t *testing.T, s *sum, counts []uint64)) {
	for _, spread := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "spread"}[spread]
		t.Run(name, func(t *testing.T) {
			s, counts := new(sum), make([]uint64, n)
			if spread {
				meetOften(t, s, counts)
			}
			test(t, s, counts)
		})
	}
}

// Every observation is 1.0, so what a drain takes as number and counts is the same unless it
// took a half of one.
func TestSum_AnObservationIsNeverHalved(t *testing.T) {
	for _, n := range []int{3, 13} { // counts within a cell, and apart
		aloneAndSpread(t, n, func(t *testing.T, s *sum, counts []uint64) {
			const workers, times = 4, 10_000
			var writers sync.WaitGroup
			for w := range workers {
				writers.Go(func() {
					for range times {
						s.observe(1, counts, w%n)
					}
				})
			}
			var done atomic.Bool
			go func() {
				writers.Wait()
				done.Store(true)
			}()
			total := 0.0
			for last := false; !last; {
				runtime.Gosched()
				last = done.Load()
				taken, count := make([]uint64, n), 0.0
				v := s.takeCounts(counts, taken)
				for _, n := range taken {
					count += float64(n)
				}
				if count != v {
					t.Fatalf("took the number %v and the counts %d", v, taken)
				}
				total += v
			}
			if total != workers*times {
				t.Errorf("took %v observations, want %d", total, workers*times)
			}
		})
	}
}

func TestSum_IsSpreadWhenManyAdditionsMeetInASecondAndLosesNothing(t *testing.T) {
	s, counts := new(sum), make([]uint64, 2)
	s.observe(5, counts, 1)
	meetOften(t, s, counts)
	s.observe(7, counts, 1)
	s.observe(1, counts, 0)
	if v := s.value(); v != 13 {
		t.Errorf("the number is %v, want 13", v)
	}
	if s.empty(counts) {
		t.Error("it is said to be empty")
	}
	taken := make([]uint64, 2)
	if v := s.takeCounts(counts, taken); v != 13 || taken[0] != 1 || taken[1] != 2 {
		t.Errorf("took %v and %d, want 13 and [1 2]", v, taken)
	}
	if !s.empty(counts) {
		t.Error("it is not empty after all was taken")
	}
}

func TestSum_StaysAloneWhenAdditionsMeetNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sum)
		for range 10 {
			for range manyMeetings - 1 {
				s.meet(nil)
			}
			time.Sleep(time.Second)
		}
		if s.cells.Load() != nil {
			t.Error("a sum whose additions meet now and then was spread")
		}
	})
}

func TestSum_OneLongWaitIsOneMeeting(t *testing.T) {
	s := new(sum)
	s.home.lock()
	var adder sync.WaitGroup
	adder.Go(func() { s.add(1) })
	for deadline := time.Now().Add(10 * time.Second); s.met.Load() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the addition did not note that it met another")
		}
	}
	for range 1000 { // the addition tries again and again
		runtime.Gosched()
	}
	s.home.unlock(2)
	adder.Wait()
	if met, v := s.met.Load(), s.value(); met != 1 || v != 3 {
		t.Errorf("%d additions met, and the number is %v; want 1 and 3", met, v)
	}
}

func TestSum_ACellInUseIsLeftForAnother(t *testing.T) {
	aloneAndSpread(t, 1, func(t *testing.T, s *sum, counts []uint64) {
		cells := s.cells.Load()
		if cells == nil {
			return
		}
		for i := range cells.list[1:] {
			if _, ok := cells.list[i].lock(); !ok {
				t.Fatal("an unused cell is locked")
			}
		}
		s.observe(2, counts, 0) // must not wait
		for i := range cells.list[1:] {
			cells.list[i].unlock(1)
		}
		if v, want := s.value(), float64(len(cells.list)+1); v != want {
			t.Errorf("the number is %v, want %v", v, want)
		}
	})
}

func TestSum_MovesToAnother(t *testing.T) {
	aloneAndSpread(t, 9, func(t *testing.T, from *sum, counts []uint64) {
		aloneAndSpread(t, 9, func(t *testing.T, to *sum, others []uint64) {
			for i := range 9 {
				from.observe(float64(i), counts, i)
				to.observe(100, others, 0)
			}
			from.moveSum(counts, to, others)
			if !from.empty(counts) {
				t.Error("something is left")
			}
			taken := make([]uint64, 9)
			if v := to.takeCounts(others, taken); v != 936 || taken[0] != 10 || taken[8] != 1 {
				t.Errorf("there are %v and %d, want 936 and [10 1 ...]", v, taken)
			}
		})
	})
}

func TestSum_WhatOverflowsStaysFinite(t *testing.T) {
	aloneAndSpread(t, 0, func(t *testing.T, s *sum, _ []uint64) {
		add := func(_ int, v float64) { s.add(v) }
		if s.cells.Load() != nil {
			add = s.addTo
		}
		for range 2 {
			add(0, -math.MaxFloat64)
		}
		for range 2 {
			add(1, math.MaxFloat64)
		}
		if v := s.take(); !finite(v) {
			t.Errorf("took %v", v)
		}
	})
}

func TestSum_TheNaNThatMeansLockedCanBeSet(t *testing.T) {
	aloneAndSpread(t, 0, func(t *testing.T, s *sum, _ []uint64) {
		s.set(math.Float64frombits(locked))
		s.add(math.Float64frombits(locked))
		if v := s.value(); !math.IsNaN(v) {
			t.Errorf("the number is %v, want NaN", v)
		}
		s.set(3)
		s.add(2)
		if v := s.value(); v != 5 {
			t.Errorf("the number is %v, want 5", v)
		}
	})
}

// One goroutine adds 1 and 1,000 in turn, each to the next cell, while others read, set and take.
// Whatever they do, what is added between two moments has as many of the one as of the other, or
// one more.
func TestSum_EachReadingOfASpreadSumIsOfOneMoment(t *testing.T) {
	for name, read := range map[string]func(*sum) float64{
		"value": (*sum).value,
		"set": func(s *sum) float64 {
			s.set(0)
			runtime.Gosched()
			return s.value()
		},
		"take": (*sum).take,
	} {
		t.Run(name, func(t *testing.T) {
			s := new(sum)
			s.spread(64, nil)
			var adder sync.WaitGroup
			defer adder.Wait()
			var stop atomic.Bool
			defer stop.Store(true)
			adder.Go(func() {
				for i := 0; !stop.Load(); i++ {
					s.addTo(i, 1)
					s.addTo(i+1, 1000)
				}
			})
			for range 20_000 {
				v := int64(read(s))
				if rest := v % 1001; rest > 1 && rest != 1000 {
					t.Fatalf("%d is not of one moment", v)
				}
			}
		})
	}
}

func TestSum_AReadingKeepsAdditionsOutUntilItHasAllCells(t *testing.T) {
	for name, read := range map[string]func(*sum){
		"value": func(s *sum) { s.value() }, "set": func(s *sum) { s.set(1) }, "take": func(s *sum) { s.take() },
	} {
		t.Run(name, func(t *testing.T) {
			s := new(sum)
			s.spread(4, nil)
			list := s.cells.Load().list
			list[3].lock()
			var reader sync.WaitGroup
			defer reader.Wait()
			defer list[3].unlock(0)
			reader.Go(func() { read(s) })
			for deadline := time.Now().Add(10 * time.Second); list[2].bits.Load() != locked; runtime.Gosched() {
				if time.Now().After(deadline) {
					t.Fatal("it does not lock the cells that it has read")
				}
			}
			for i := range list {
				if list[i].add(1) {
					t.Errorf("something was added to cell %d", i)
				}
			}
		})
	}
}

func TestGauge_OfWhatIsInFlightIsNeverBelowZero(t *testing.T) {
	const workers = 8
	r := New()
	for name, g := range map[string]*Gauge{
		"own": r.NewGauge(GaugeOpts{Name: "g"}), "total": r.NewGauge(GaugeOpts{Name: "t", Mode: Total}),
	} {
		t.Run(name, func(t *testing.T) {
			g.spread(64, nil)
			var group sync.WaitGroup
			defer group.Wait()
			var stop atomic.Bool
			defer stop.Store(true)
			for range workers {
				group.Go(func() {
					for !stop.Load() {
						g.Inc()
						t := takeToken() // so that Dec finds another, as in another P
						g.Dec()
						t.putBack()
					}
				})
			}
			inFlight := 0.0
			for range 20_000 {
				if name == "total" {
					inFlight += g.drain(nil)[0].Value
				} else {
					inFlight = g.value()
				}
				if inFlight < 0 || inFlight > workers {
					t.Fatalf("%v of %d requests are in flight", inFlight, workers)
				}
			}
		})
	}
}
