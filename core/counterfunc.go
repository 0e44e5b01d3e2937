// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
)

// CounterFunc is a counter whose value a function returns: see [Registry.NewCounterFunc].
type CounterFunc struct {
	counter *Counter
	f       func() float64
	total   total
}

// NewCounterFunc declares a counter whose value f returns, and panics where
// [Registry.RegisterCounterFunc] returns an error.
func (r *Registry) NewCounterFunc(o CounterOpts, f func() float64) *CounterFunc {
	return must(r.RegisterCounterFunc(o, f))
}

// RegisterCounterFunc declares a counter for what this process counts elsewhere: f returns all
// that was counted since the process began. The registry adds what is new since the last call, so
// that the page shows the sum of all processes. If f returns less than before, it began anew, from
// 0. NaN, the infinities and negative values are dropped, and counted in
// shoal_rejected_observations_total. [Registry.RegisterGaugeFunc] says when f is called.
func (r *Registry) RegisterCounterFunc(o CounterOpts, f func() float64) (*CounterFunc, error) {
	if f == nil {
		return nil, fmt.Errorf("shoal: counter function %q: the function is nil", fullName(o.Namespace, o.Subsystem, o.Name))
	}
	c, err := r.RegisterCounter(o)
	if err != nil {
		return nil, err
	}
	return r.sampled.add(&CounterFunc{counter: c, f: f}, 0).(*CounterFunc), nil
}

// sample calls the function and adds what is new.
func (c *CounterFunc) sample(context.Context) {
	v := c.f()
	if !addable(v) {
		c.counter.consts.fam.reg.reject(reasonOf(v), c.counter.consts.fam)
		return
	}
	if added := c.total.grow(v); added > 0 {
		c.counter.Add(added)
	}
}

func (c *CounterFunc) same(other provider) bool {
	o, ok := other.(*CounterFunc)
	return ok && o.counter == c.counter
}

func (c *CounterFunc) failed(reason string) { c.counter.consts.fam.reg.functionFailed(reason) }

func (c *CounterFunc) String() string { return c.counter.consts.fam.functionName() }
