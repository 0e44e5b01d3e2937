// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"sync"
	"testing"
)

// Every observation is 1.0, so what a drain takes as sum, count and buckets is the same
// number unless it took a half of one.
func TestStripes_AnObservationIsNeverHalved(t *testing.T) {
	var c stripes
	c.init(3)
	const workers, times = 4, 100_000
	var writers sync.WaitGroup
	for w := range workers {
		writers.Go(func() {
			for range times {
				c.observe(1, w%3)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	var total uint64
	take := func() {
		bucket := make([]uint64, 3)
		sum := c.take(bucket)
		count := bucket[0] + bucket[1] + bucket[2]
		if float64(count) != sum {
			t.Errorf("took sum %v and buckets %d", sum, bucket)
		}
		total += count
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		take()
	}
	take()
	if total != workers*times {
		t.Errorf("took %d observations, want %d", total, workers*times)
	}
}

func TestStripes_SpreadUnderContentionAndAreTakenTogether(t *testing.T) {
	var c stripes
	c.init(1)
	c.observe(1, 0)
	if c.more.Load() != nil {
		t.Error("a series without contention got further stripes")
	}
	c.first.mu.Lock()
	c.observe(2, 0) // must not wait
	second := &c.more.Load()[0]
	second.mu.Lock()
	c.observe(3, 0)
	second.mu.Unlock()
	c.first.mu.Unlock()
	bucket := make([]uint64, 1)
	if sum := c.take(bucket); sum != 6 || bucket[0] != 3 {
		t.Errorf("took sum %v, bucket %d; want 6, 3", sum, bucket)
	}
}

func TestStripes_SumsThatOverflowStayFinite(t *testing.T) {
	var c stripes
	c.init(1)
	c.first.mu.Lock()
	c.observe(-math.MaxFloat64, 0)
	c.observe(-math.MaxFloat64, 0)
	c.first.mu.Unlock()
	c.observe(math.MaxFloat64, 0)
	c.observe(math.MaxFloat64, 0)
	bucket := make([]uint64, 1)
	if sum := c.take(bucket); bucket[0] != 4 || !finite(sum) {
		t.Errorf("took sum %v, bucket %d", sum, bucket)
	}
}
