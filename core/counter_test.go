// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
)

func TestCounter_CountsWholeNumbersAndFractions(t *testing.T) {
	c := New().NewCounter(CounterOpts{Name: "c_total"})
	drained := func() float64 { return c.drain(nil)[0].Value }

	c.Inc()
	c.Add(2)
	c.Add(0.5)
	c.Add(0)
	c.Add(math.Copysign(0, -1))
	if got := drained(); got != 3.5 {
		t.Errorf("drained %v, want 3.5", got)
	}
	if got := drained(); got != 0 {
		t.Errorf("drained %v a second time", got)
	}
	c.Add(1 << 31)
	c.Add(1<<31 + 1)
	c.Add(1 << 53)
	if got, want := drained(), float64(1<<32+1+1<<53); got != want {
		t.Errorf("drained %v, want %v", got, want)
	}
	c.Add(math.SmallestNonzeroFloat64)
	if got := drained(); got != math.SmallestNonzeroFloat64 {
		t.Errorf("drained %v, want the smallest number", got)
	}
	c.Add(1e308)
	c.Add(1e308)
	if got := drained(); got != math.MaxFloat64 {
		t.Errorf("a sum too large became %v, want it kept finite", got)
	}
	c.Add(1)
	if got := drained(); got != 1 {
		t.Errorf("drained %v after an overflow, want 1", got)
	}
}

func TestCounter_DropsAndCountsWhatNoCounterCanTake(t *testing.T) {
	for v, reason := range map[float64]string{
		-1: reasonNegative, -math.SmallestNonzeroFloat64: reasonNegative, -math.MaxFloat64: reasonNegative,
		math.Inf(1): reasonInfinite, math.Inf(-1): reasonInfinite, math.NaN(): reasonNaN,
	} {
		r := New()
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(v)
		if got := c.drain(nil)[0].Value; got != 0 {
			t.Errorf("Add(%v) counted %v", v, got)
		}
		if got := selfValue(r, "shoal_rejected_observations_total", reason); got != 1 {
			t.Errorf("Add(%v): the reason %s was counted %v times", v, reason, got)
		}
		if _, err := c.AddSync(context.Background(), v); !errors.Is(err, ErrRejected) {
			t.Errorf("AddSync(%v) returns %v, want ErrRejected", v, err)
		} else {
			mentions(t, err, "c_total", reason)
		}
	}
}

func TestCounter_NoAdditionIsLostBesideADrain(t *testing.T) {
	c := New().NewCounter(CounterOpts{Name: "c_total"})
	const workers, times = 4, 4000
	var writers, drainer sync.WaitGroup
	done := make(chan struct{})
	total := 0.0
	drainer.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				total += c.drain(nil)[0].Value
			}
		}
	})
	for range workers {
		writers.Go(func() {
			for range times {
				c.Inc()
				c.Add(0.25)
				c.Add(1 << 33)
			}
		})
	}
	writers.Wait()
	close(done)
	drainer.Wait()
	total += c.drain(nil)[0].Value
	if want := float64(workers * times * (1.25 + 1<<33)); total != want {
		t.Errorf("drained %v, want %v", total, want)
	}
}
