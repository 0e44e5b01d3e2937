// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// GaugeFunc is a gauge whose value is asked for: see [Registry.NewGaugeFunc].
type GaugeFunc struct {
	gauge *Gauge
	f     func() float64
}

// NewGaugeFunc declares a gauge whose value f gives, and panics where
// [Registry.RegisterGaugeFunc] returns an error.
func (r *Registry) NewGaugeFunc(o GaugeOpts, f func() float64) *GaugeFunc {
	return must(r.RegisterGaugeFunc(o, f))
}

// RegisterGaugeFunc declares a gauge whose value f gives. While the registry
// is connected, f is called three times in every Opts.LeaseDuration (each 5 s
// by default), never twice at once. A panic in it is contained, counted and
// reported; the last value then stays. A second declaration keeps the first
// one's function.
func (r *Registry) RegisterGaugeFunc(o GaugeOpts, f func() float64) (*GaugeFunc, error) {
	if f == nil {
		return nil, fmt.Errorf("shoal: gauge function %q: the function is nil", o.Name)
	}
	if o.Mode == Total {
		return nil, fmt.Errorf("shoal: gauge function %q: what a function gives is set, and a Total gauge can only be added to: "+
			"use another mode, or NewGauge", fullName(o.Namespace, o.Subsystem, o.Name))
	}
	g, err := r.RegisterGauge(o)
	if err != nil {
		return nil, err
	}
	return r.sampled.add(&GaugeFunc{g, f}), nil
}

// sampler calls the gauge functions. One that hangs delays the others, and
// nothing else.
type sampler struct {
	mu    sync.Mutex
	funcs []*GaugeFunc // guarded by mu
}

func (s *sampler) add(g *GaugeFunc) *GaugeFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.funcs, func(old *GaugeFunc) bool { return old.gauge == g.gauge })
	if i >= 0 {
		return s.funcs[i]
	}
	s.funcs = append(s.funcs, g)
	return g
}

func (s *sampler) list() []*GaugeFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.funcs)
}

// sample calls every function once.
func (r *Registry) sample() {
	for _, g := range r.sampled.list() {
		r.sampleOne(g)
	}
}

func (r *Registry) sampleOne(g *GaugeFunc) {
	defer func() {
		if p := recover(); p != nil {
			r.self.gaugeFuncFails.Inc()
			r.report("gauge function", fmt.Errorf("shoal: %s %q: its function panicked: %v",
				wire.TypeGauge, g.gauge.fam.def.name, p))
		}
	}()
	g.gauge.show(g.f())
}

// runSampler samples until stop is closed: at once, and then every period.
func (r *Registry) runSampler(period time.Duration, stop <-chan struct{}) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		r.sample()
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
	}
}
