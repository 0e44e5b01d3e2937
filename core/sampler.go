// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// sampleTimeout is how long a scrape, Flush or Close waits for the sources at most. One
// that takes longer is not waited for again until it has returned.
const sampleTimeout = 500 * time.Millisecond

// source is what the sampler asks for values while the registry is connected: a gauge
// function, or the runtime's metrics.
type source interface {
	// sample writes the current values to the source's metrics. Two calls of it never
	// overlap. It may panic or hang.
	sample()
	// same says whether the other is a second declaration of this source.
	same(other source) bool
	// String names the source in a report, before the word "panicked".
	String() string
}

// asked is a source and the calls of its sample. All but the source is guarded by the
// sampler's mu.
type asked struct {
	source
	busy  bool      // a call is under way
	began time.Time // when it began
	next  *sampling // the call after it; nil if nobody waits for one
}

// sampling is a call of sample that begins after somebody asked for it.
type sampling struct {
	waiting int           // how many wait for it; guarded by the sampler's mu
	done    chan struct{} // closed when sample has returned
}

// sampler calls the sources. Each call has a goroutine of its own, so that a source that
// hangs delays no other.
type sampler struct {
	reg     *Registry
	mu      sync.Mutex
	open    bool           // between Connect and Close; guarded by mu
	sources []*asked       // guarded by mu
	calls   sync.WaitGroup // those under way; they begin under mu, while open
}

// add enters a source, unless the same one is there, and returns the one that is. It begins
// a call of it if the registry is connected. It does not wait for the call: its own caller
// may hold a lock that the source takes.
func (s *sampler) add(added source) source {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.sources {
		if a.same(added) {
			return a.source
		}
	}
	a := &asked{source: added}
	s.sources = append(s.sources, a)
	s.call(a)
	return added
}

// call begins a call of the source if none is under way. The caller holds mu.
func (s *sampler) call(a *asked) {
	if a.busy || !s.open {
		return
	}
	this := a.next
	a.busy, a.began, a.next = true, time.Now(), nil
	s.calls.Go(func() {
		defer func() { // also if the source calls runtime.Goexit
			s.mu.Lock()
			defer s.mu.Unlock()
			a.busy = false
			if a.next != nil {
				s.call(a)
			}
			if this != nil {
				close(this.done)
			}
		}()
		s.sample(a.source)
	})
}

// sample calls a source, and contains its panic.
func (s *sampler) sample(from source) {
	defer func() {
		if p := recover(); p != nil {
			s.reg.self.gaugeFuncFails.Inc()
			s.reg.report("gauge function", fmt.Errorf("shoal: %v panicked: %v", from, p))
		}
	}()
	from.sample()
}

// callAll begins a call of each source that is not being called.
func (s *sampler) callAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.sources {
		s.call(a)
	}
}

// wait calls every source, and those that are declared meanwhile, and waits for the
// calls, for limit at most. A call that is already under way does not count: its values
// may be older than this wait.
func (s *sampler) wait(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for from, more := 0, true; more; {
		var sources []*asked
		var calls []*sampling
		s.mu.Lock()
		for _, a := range s.sources[from:] {
			if c := s.ask(a); c != nil {
				sources, calls = append(sources, a), append(calls, c)
			}
		}
		more, from = len(s.sources) > from, len(s.sources)
		s.mu.Unlock()
		for i, c := range calls {
			select {
			case <-c.done:
			case <-ctx.Done():
				s.giveUp(sources[i:], calls[i:])
				return
			}
		}
	}
}

// ask asks for a call that begins now, or when the one under way returns. It returns nil
// if that one has been under way for too long, or the registry is not connected. The
// caller holds mu.
func (s *sampler) ask(a *asked) *sampling {
	if !s.open || a.busy && time.Since(a.began) >= sampleTimeout {
		return nil
	}
	if a.next == nil {
		a.next = &sampling{done: make(chan struct{})}
	}
	c := a.next
	c.waiting++
	s.call(a)
	return c
}

// giveUp cancels the calls that have not begun and that nobody else waits for. Otherwise
// a gauge function that asks for its own page would be called again and again.
func (s *sampler) giveUp(sources []*asked, calls []*sampling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range calls {
		if c.waiting--; c.waiting == 0 && sources[i].next == c {
			sources[i].next = nil
		}
	}
}

// start allows calls, and begins one of each source.
func (s *sampler) start() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	s.callAll()
}

// stop allows no more calls. Those under way go on.
func (s *sampler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	for _, a := range s.sources {
		if a.next != nil {
			close(a.next.done)
			a.next = nil
		}
	}
}

// run calls all sources once every period until stop is closed.
func (s *sampler) run(period time.Duration, stop <-chan struct{}) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.callAll()
		case <-stop:
			return
		}
	}
}
