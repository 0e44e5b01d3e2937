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

// sampleTimeout bounds how long a scrape, Flush or Close waits for the gauge
// functions. One that takes longer is not waited for again until it returns.
const sampleTimeout = 500 * time.Millisecond

// GaugeFunc is a gauge whose value is asked for: see [Registry.NewGaugeFunc].
type GaugeFunc struct {
	gauge *Gauge
	f     func() float64

	began time.Time // the call under way; guarded by the sampler's mu, as those below
	busy  bool      // a call is under way
	next  *sampling // the call after that one, if somebody asked for it
}

// sampling is a call of a gauge function that has not begun when it is asked for.
type sampling struct {
	waiting int           // how many wait for it; guarded by the sampler's mu
	done    chan struct{} // closed when it has returned
}

// NewGaugeFunc declares a gauge whose value f gives, and panics where
// [Registry.RegisterGaugeFunc] returns an error.
func (r *Registry) NewGaugeFunc(o GaugeOpts, f func() float64) *GaugeFunc {
	return must(r.RegisterGaugeFunc(o, f))
}

// RegisterGaugeFunc declares a gauge whose value f gives. While the registry
// is connected, f is called at once, three times in every Opts.LeaseDuration
// (each 5 s by default), and before each page of this process, Flush and Close,
// which wait for it for half a second at most; after that the last value
// stays. It is never called twice at once, but at the same time as other
// functions. It should not call Flush, Close, Gather or the page of its own
// registry: these would wait for it that long. A panic in it is contained,
// counted and reported; the last value then stays. A second declaration keeps
// the first one's function.
func (r *Registry) RegisterGaugeFunc(o GaugeOpts, f func() float64) (*GaugeFunc, error) {
	if f == nil {
		return nil, fmt.Errorf("shoal: gauge function %q: the function is nil", fullName(o.Namespace, o.Subsystem, o.Name))
	}
	if o.Mode == Total {
		return nil, fmt.Errorf("shoal: gauge function %q: what a function gives is set, and a Total gauge can only be added to: "+
			"use another mode, or NewGauge", fullName(o.Namespace, o.Subsystem, o.Name))
	}
	g, err := r.RegisterGauge(o)
	if err != nil {
		return nil, err
	}
	return r.sampled.add(&GaugeFunc{gauge: g, f: f}), nil
}

// sampler calls the gauge functions, each in a goroutine of its own while it is
// called, so that one that hangs delays no other.
type sampler struct {
	mu    sync.Mutex
	open  bool           // between Connect and Close; guarded by mu
	funcs []*GaugeFunc   // guarded by mu
	calls sync.WaitGroup // under way; begun under mu while open
}

// add enters a function, and calls it if the registry is connected. It does not
// wait: the caller may hold a lock that the function takes.
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

// call begins a call of the function unless one is under way. The caller holds mu.
func (s *sampler) call(g *GaugeFunc) {
	if g.busy || !s.open {
		return
	}
	this := g.next
	g.busy, g.began, g.next = true, time.Now(), nil
	s.calls.Go(func() {
		defer func() { // also when the function ends the goroutine
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

// sample calls the function and shows what it returns.
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

// wait calls every function, and those that they declare, and waits for them,
// but no longer than limit or sampleTimeout. A call that is under way does not
// count: what it returns may be older than this wait.
func (s *sampler) wait(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(limit, sampleTimeout))
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

// ask asks for a call that begins now, or after the one under way; nil if that
// has been under way for too long, or the registry is not connected. The caller
// holds mu.
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

// giveUp takes back the calls that have not begun and that nobody else waits
// for: a function that asks for its own page would be called for ever.
func (s *sampler) giveUp(funcs []*GaugeFunc, calls []*sampling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range calls {
		if c.waiting--; c.waiting == 0 && funcs[i].next == c {
			funcs[i].next = nil
		}
	}
}

// start lets functions be called, and calls all.
func (s *sampler) start() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	s.callAll()
}

// stop lets no more calls begin. Those under way go on.
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

// run calls the functions every period until stop is closed.
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
