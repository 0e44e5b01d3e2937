// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// How long the sampler's callers wait for the providers at most. They do not wait again for a
// provider that has not returned for that long, until it has.
const (
	flushSampleTimeout = 500 * time.Millisecond // Flush; a scrape waits for less
	closeSampleTimeout = 2 * time.Second        // Close: what a provider would still give is lost with the process
)

// How a provider fails: the label of shoal_source_failures_total.
const (
	failedError   = "error"   // Collect returned an error
	failedRefused = "refused" // the registry refused some of the metrics
	failedPanic   = "panic"   // it panicked
	failedLate    = "late"    // it has not returned after a period
	failedClosing = "closing" // it did not return before Close ended
)

// provider is what the sampler asks for values while the registry is connected: a gauge or
// counter function, the runtime's metrics, or a Source.
type provider interface {
	// sample brings the current values to the provider's metrics. Two calls of it never
	// overlap. It may panic or hang. The context ends when the registry is closed.
	sample(ctx context.Context)
	// same says whether the other is a second declaration of this provider.
	same(other provider) bool
	// failed counts a failure: failedPanic, failedLate, ...
	failed(reason string)
	// String names the provider in a report, before words such as "panicked".
	String() string
}

// asked is a provider and the calls of its sample. The sampler's mu guards all but the provider
// and its period.
type asked struct {
	provider
	period time.Duration // between two calls; 0 means that of run
	due    time.Time     // when the next one is due
	busy   bool          // a call is under way
	began  time.Time     // when it began
	late   bool          // it was reported as late
	next   *sampling     // the call after it; nil if nobody waits for one
}

// sampling is a call of sample that begins after somebody asked for it.
type sampling struct {
	waiting int           // how many wait for it; guarded by the sampler's mu
	done    chan struct{} // closed when sample has returned
}

// sampler calls the providers. Each call has a goroutine of its own, so that a provider that
// hangs delays no other.
type sampler struct {
	reg     *Registry
	changed chan struct{} // tells run that a provider was added
	mu      sync.Mutex
	cancel  context.CancelFunc // of ctx; nil unless open; guarded by mu
	ctx     context.Context    // of all calls, from start to stop; guarded by mu
	asked   []*asked           // guarded by mu
	calls   sync.WaitGroup     // those under way; they begin under mu, while open
}

// open says whether calls are allowed: from start to stop. The caller holds mu.
func (s *sampler) open() bool { return s.cancel != nil }

// add enters a provider, unless the same one is there, and returns the one that is. It begins
// a call of it if the registry is connected. It does not wait for the call: its own caller
// may hold a lock that the provider takes.
func (s *sampler) add(added provider, period time.Duration) provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if a.same(added) {
			return a.provider
		}
	}
	a := &asked{provider: added, period: period}
	s.asked = append(s.asked, a)
	s.call(a)
	s.wake()
	return added
}

// lastOf calls a provider for the last time, and waits for it as Flush does.
func (s *sampler) lastOf(p provider) {
	s.wait(context.Background(), flushSampleTimeout, func(a *asked) bool { return a.provider == p })
}

// remove takes a provider out. A call that has not returned goes on.
func (s *sampler) remove(p provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = slices.DeleteFunc(slices.Clone(s.asked), func(a *asked) bool {
		if a.provider == p {
			a.cancelNext()
		}
		return a.provider == p
	})
}

// has says whether a provider, or the same one, is there.
func (s *sampler) has(p provider) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.asked, func(a *asked) bool { return a.same(p) })
}

// cancelNext cancels the call that somebody waits for. The caller holds the sampler's mu.
func (a *asked) cancelNext() {
	if a.next != nil {
		close(a.next.done)
		a.next = nil
	}
}

// wake makes run look for the provider that is due next.
func (s *sampler) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// call begins a call of the provider if none is under way. The caller holds mu.
func (s *sampler) call(a *asked) {
	if a.busy || !s.open() {
		return
	}
	this, ctx := a.next, s.ctx
	a.busy, a.late, a.began, a.next = true, false, time.Now(), nil
	s.calls.Go(func() {
		defer func() { // also if the provider calls runtime.Goexit
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
		s.sample(ctx, a.provider)
	})
}

// sample calls a provider, and contains its panic.
func (s *sampler) sample(ctx context.Context, from provider) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			s.failed(from, failedPanic, fmt.Errorf("panicked: %v", p))
		} else if !returned {
			s.failed(from, failedPanic, errors.New("called runtime.Goexit"))
		}
	}()
	from.sample(ctx)
	returned = true
}

// everyProvider is for wait.
func everyProvider(*asked) bool { return true }

// wait calls the providers that which selects, those that are added meanwhile included, and waits
// for the calls, for limit at most. It returns the providers that did not return in that time. A
// call that is already under way does not count: its values may be older than this wait.
func (s *sampler) wait(ctx context.Context, limit time.Duration, which func(*asked) bool) (late []provider) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for from, more := 0, true; more; {
		var all []*asked
		var calls []*sampling
		s.mu.Lock()
		for _, a := range s.asked[min(from, len(s.asked)):] {
			if !which(a) {
				continue
			}
			if c := s.ask(a, limit); c != nil {
				all, calls = append(all, a), append(calls, c)
			} else if s.open() {
				late = append(late, a.provider)
			}
		}
		more, from = len(s.asked) > from, len(s.asked)
		s.mu.Unlock()
		for i, c := range calls {
			select {
			case <-c.done:
			case <-ctx.Done():
				s.giveUp(all[i:], calls[i:])
				for _, a := range all[i:] {
					late = append(late, a.provider)
				}
				return late
			}
		}
	}
	return late
}

// ask asks for a call that begins now, or when the one under way returns. It returns nil
// if that one has been under way for longer than the caller would wait, or the registry is not
// connected. The caller holds mu.
func (s *sampler) ask(a *asked, limit time.Duration) *sampling {
	if !s.open() || a.busy && time.Since(a.began) >= max(limit, flushSampleTimeout) {
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
func (s *sampler) giveUp(all []*asked, calls []*sampling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range calls {
		if c.waiting--; c.waiting == 0 && all[i].next == c {
			all[i].next = nil
		}
	}
}

// start allows calls, and begins one of each provider.
func (s *sampler) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, a := range s.asked {
		s.call(a)
	}
}

// stop allows no more calls. The context of those under way ends.
func (s *sampler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open() {
		s.cancel()
		s.cancel = nil
	}
	for _, a := range s.asked {
		a.cancelNext()
	}
}

// last calls each provider for the last time, and waits for it as Close does.
func (s *sampler) last(ctx context.Context) {
	for _, p := range s.wait(ctx, closeSampleTimeout, everyProvider) {
		s.failed(p, failedClosing, errors.New("did not return before Close ended: what it would have given is lost"))
	}
	s.stop()
}

// run calls each provider once a period until stop is closed. period is for the providers that
// have none of their own.
func (s *sampler) run(period time.Duration, stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.changed:
		case <-stop:
			return
		}
		timer.Reset(time.Until(s.callDue(time.Now(), period)))
	}
}

// callDue begins a call of each provider that is due, and returns when the next one is. It
// reports those that have not returned from the call before.
func (s *sampler) callDue(now time.Time, period time.Duration) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = now.Add(period)
	for _, a := range s.asked {
		each := cmp.Or(a.period, period)
		switch {
		case a.due.IsZero(): // called when it was added, or by start
			a.due = now.Add(each)
		case !now.Before(a.due):
			a.due = now.Add(each)
			if took := now.Sub(a.began); a.busy && !a.late && took >= each {
				a.late = true
				s.calls.Go(func() { s.failed(a.provider, failedLate, fmt.Errorf("has not returned for %v", took)) })
			}
			s.call(a)
		}
		if a.due.Before(next) {
			next = a.due
		}
	}
	return next
}

// failed counts and reports a failure of a provider. The caller does not hold mu, since
// Opts.OnError may declare metrics.
func (s *sampler) failed(p provider, reason string, err error) {
	p.failed(reason)
	s.reg.report(reason+" "+p.String(), fmt.Errorf("shoal: %v %w", p, err))
}
