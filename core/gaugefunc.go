// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// sampleTimeout is how long a scrape, Flush or Close waits for the gauge functions at
// most. A function that takes longer is not waited for again until it has returned.
const sampleTimeout = 500 * time.Millisecond

// GaugeFunc is a gauge whose value a function returns: see [Registry.NewGaugeFunc].
type GaugeFunc struct {
	gauge *Gauge
	f     func() float64

	// Guarded by the sampler's mu.
	busy  bool      // a call is under way
	began time.Time // when it began
	next  *sampling // the call after it; nil if nobody waits for one
}

// sampling is a call of a gauge function that begins after somebody asked for it.
type sampling struct {
	waiting int           // how many wait for it; guarded by the sampler's mu
	done    chan struct{} // closed when the function has returned
}

// NewGaugeFunc declares a gauge whose value f returns, and panics where
// [Registry.RegisterGaugeFunc] returns an error.
func (r *Registry) NewGaugeFunc(o GaugeOpts, f func() float64) *GaugeFunc {
	return must(r.RegisterGaugeFunc(o, f))
}

// RegisterGaugeFunc declares a gauge whose value f returns. While the registry is
// connected, shoal calls f at once, then three times in every Opts.LeaseDuration (every
// 5 s by default), and before each page of this process, Flush and Close, which wait for
// it for half a second at most. If f takes longer, or panics, the gauge keeps its last
// value; a panic is counted and reported. Two calls of f never overlap; calls of different
// functions may. f should not call Flush, Close, Gather or the page of its own registry:
// these would wait half a second for f. A second declaration keeps the first one's
// function.
func (r *Registry) RegisterGaugeFunc(o GaugeOpts, f func() float64) (*GaugeFunc, error) {
	wrong := ""
	switch {
	case f == nil:
		wrong = "the function is nil"
	case o.Mode == Total:
		wrong = "a Total gauge can only be added to, and the result of a function is set: use another mode, or NewGauge"
	}
	if wrong != "" {
		return nil, fmt.Errorf("shoal: gauge function %q: %s", fullName(o.Namespace, o.Subsystem, o.Name), wrong)
	}
	g, err := r.RegisterGauge(o)
	if err != nil {
		return nil, err
	}
	return r.sampled.add(&GaugeFunc{gauge: g, f: f}), nil
}

// sampler calls the gauge functions. Each call has a goroutine of its own, so that a
// function that hangs delays no other.
type sampler struct {
	mu    sync.Mutex
	open  bool           // between Connect and Close; guarded by mu
	funcs []*GaugeFunc   // guarded by mu
	calls sync.WaitGroup // those under way; they begin under mu, while open
}

// add enters a function, and begins a call of it if the registry is connected. It does
// not wait for the call: its own caller may hold a lock that the function takes.
func (s *sampler) add(g *GaugeFunc) *GaugeFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.funcs, func(old *GaugeFunc) bool { return old.gauge == g.gauge })
	if i >= 0 {
		return s.funcs[i]
	}
	s.funcs = append(s.funcs, g)
	s.call(g)
	return g
}

// call begins a call of the function if none is under way. The caller holds mu.
func (s *sampler) call(g *GaugeFunc) {
	if g.busy || !s.open {
		return
	}
	this := g.next
	g.busy, g.began, g.next = true, time.Now(), nil
	s.calls.Go(func() {
		defer func() { // also if the function calls runtime.Goexit
			s.mu.Lock()
			defer s.mu.Unlock()
			g.busy = false
			if g.next != nil {
				s.call(g)
			}
			if this != nil {
				close(this.done)
			}
		}()
		g.sample()
	})
}

// sample calls the function and sets the gauge to what it returns.
func (g *GaugeFunc) sample() {
	r := g.gauge.consts.fam.reg
	defer func() {
		if p := recover(); p != nil {
			r.self.gaugeFuncFails.Inc()
			r.report("gauge function", fmt.Errorf("shoal: %s %q: its function panicked: %v",
				wire.TypeGauge, g.gauge.consts.fam.def.name, p))
		}
	}()
	g.gauge.setIfChanged(g.f())
}

// callAll begins a call of each function that is not being called.
func (s *sampler) callAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.funcs {
		s.call(g)
	}
}

// wait calls every function, and those that they declare meanwhile, and waits for the
// calls, for limit at most. A call that is already under way does not count: the value
// that it returns may be older than this wait.
func (s *sampler) wait(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for from, more := 0, true; more; {
		var asked []*GaugeFunc
		var calls []*sampling
		s.mu.Lock()
		for _, g := range s.funcs[from:] {
			if c := s.ask(g); c != nil {
				asked, calls = append(asked, g), append(calls, c)
			}
		}
		more, from = len(s.funcs) > from, len(s.funcs)
		s.mu.Unlock()
		for i, c := range calls {
			select {
			case <-c.done:
			case <-ctx.Done():
				s.giveUp(asked[i:], calls[i:])
				return
			}
		}
	}
}

// ask asks for a call that begins now, or when the one under way returns. It returns nil
// if that one has been under way for too long, or the registry is not connected. The
// caller holds mu.
func (s *sampler) ask(g *GaugeFunc) *sampling {
	if !s.open || g.busy && time.Since(g.began) >= sampleTimeout {
		return nil
	}
	if g.next == nil {
		g.next = &sampling{done: make(chan struct{})}
	}
	c := g.next
	c.waiting++
	s.call(g)
	return c
}

// giveUp cancels the calls that have not begun and that nobody else waits for. Otherwise
// a function that asks for its own page would be called again and again.
func (s *sampler) giveUp(funcs []*GaugeFunc, calls []*sampling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range calls {
		if c.waiting--; c.waiting == 0 && funcs[i].next == c {
			funcs[i].next = nil
		}
	}
}

// start allows calls, and begins one of each function.
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
	for _, g := range s.funcs {
		if g.next != nil {
			close(g.next.done)
			g.next = nil
		}
	}
}

// run calls all functions once every period until stop is closed.
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
