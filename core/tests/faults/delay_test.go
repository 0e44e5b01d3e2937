// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"sync"
	"time"
)

// delay measures by how much this machine, busy with other tests, keeps
// goroutines waiting that want to run.
type delay struct {
	mu    sync.Mutex
	waits []wait // guarded by mu
}

type wait struct {
	end time.Time
	d   time.Duration
}

const (
	delayTick = 5 * time.Millisecond
	delayKept = 1000
)

func (d *delay) run(stop <-chan struct{}) {
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-time.After(delayTick):
		}
		now := time.Now()
		if late := now.Sub(last) - delayTick; late > delayTick {
			d.mu.Lock()
			if len(d.waits) == delayKept {
				d.waits = d.waits[delayKept/2:]
			}
			d.waits = append(d.waits, wait{now, late})
			d.mu.Unlock()
		}
		last = now
	}
}

// since adds up what goroutines had to wait since then.
func (d *delay) since(begin time.Time) (sum time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waits {
		if w.end.After(begin) {
			sum += w.d
		}
	}
	return sum
}
