// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
)

// GaugeFunc is a gauge whose value a function returns: see [Registry.NewGaugeFunc].
type GaugeFunc struct {
	gauge *Gauge
	f     func() float64
}

// NewGaugeFunc declares a gauge whose value f returns, and panics where
// [Registry.RegisterGaugeFunc] returns an error.
func (r *Registry) NewGaugeFunc(o GaugeOpts, f func() float64) *GaugeFunc {
	return must(r.RegisterGaugeFunc(o, f))
}

// RegisterGaugeFunc declares a gauge whose value f returns. While the registry is
// connected, shoal calls f at once, then three times in every Opts.LeaseDuration (every
// 5 s by default), and also before each page of this process, in Flush and in Close. A page and
// Flush wait for f for half a second at most, Close for 2 s. If f takes longer, or panics, the gauge
// keeps its last value; both are reported, and panics counted. Two calls of f never overlap; calls of
// different functions may. f should not call Flush, Close, Gather or the page of its own registry:
// these would wait that long for f. A second declaration keeps the first one's function.
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
	return r.sampled.add(&GaugeFunc{gauge: g, f: f}, 0).(*GaugeFunc), nil
}

// sample calls the function and sets the gauge to what it returns.
func (g *GaugeFunc) sample(context.Context) { g.gauge.setIfChanged(g.f()) }

func (g *GaugeFunc) same(other provider) bool {
	o, ok := other.(*GaugeFunc)
	return ok && o.gauge == g.gauge
}

func (g *GaugeFunc) failed(reason string) { g.gauge.consts.fam.reg.functionFailed(reason) }

func (g *GaugeFunc) String() string { return g.gauge.consts.fam.functionName() }

// functionName names the function that gives a metric's value.
func (f *family) functionName() string {
	return fmt.Sprintf("%s %q: its function", f.def.kind, f.def.name)
}

// functionFailed counts a failure of a function that gives a metric's value.
func (r *Registry) functionFailed(reason string) {
	if reason == failedPanic {
		r.self.gaugeFuncFails.Inc()
	}
}
