// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"sync"
	"testing"
	"time"
)

// delay measures how long goroutines that are ready to run have to wait, since this
// machine is busy with other tests.
type delay struct {
	mu    sync.Mutex
	waits []wait    // guarded by mu
	last  time.Time // of the last tick; guarded by mu
}

type wait struct {
	end time.Time
	d   time.Duration
}

const (
	delayTick = 5 * time.Millisecond
	delayKept = 1000
)

// startDelay begins to measure. It ends with the test.
func startDelay(t *testing.T) *delay {
	d, stop, stopped := &delay{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		d.run(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return d
}

func (d *delay) run(stop <-chan struct{}) {
	for {
		d.tick()
		select {
		case <-stop:
			return
		case <-time.After(delayTick):
		}
	}
}

func (d *delay) tick() {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if late := now.Sub(d.last) - delayTick; late > delayTick && !d.last.IsZero() {
		if len(d.waits) == delayKept {
			d.waits = d.waits[delayKept/2:]
		}
		d.waits = append(d.waits, wait{now, late})
	}
	d.last = now
}

// since adds up how long goroutines had to wait since begin. The goroutine that
// measures may be waiting itself; that time is included.
func (d *delay) since(begin time.Time) (sum time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waits {
		if w.end.After(begin) {
			sum += w.d
		}
	}
	return sum + max(0, time.Since(d.last)-delayTick)
}
