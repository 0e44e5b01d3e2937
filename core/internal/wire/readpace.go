// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"net"
	"sync"
	"time"
)

// readPaceBegin is how much the first pipelines of a reading carry. It is more than a Pace begins
// with: a process should have its first page after few round trips, and a reading that fails is
// made again at once in shorter pipelines.
const readPaceBegin = 2 << 20

// readPace is the [Pace] of all readings of values. It is safe for concurrent use.
type readPace struct {
	mu   sync.Mutex
	pace Pace // guarded by mu
}

func (p *readPace) begin(timeout time.Duration) {
	p.pace = NewPace(timeout, bytesPerPipeline)
	p.pace.set(readPaceBegin)
}

// bytes is how much the next pipeline may carry.
func (p *readPace) bytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pace.Bytes()
}

// took notes how long a pipeline took, and its error.
func (p *readPace) took(bytes int, took time.Duration, err error) {
	var dial *net.OpError
	if PoolTaken(err) || errors.As(err, &dial) && dial.Op == "dial" {
		return // nothing was sent
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace.Took(bytes, took, err)
}
