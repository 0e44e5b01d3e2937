// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Registry holds the metrics of one process for one app. Metrics may be
// declared and used before it is connected: what they count until then is kept
// and sent. Its methods are safe for concurrent use.
//
// Declaring the same metric again returns the first one, or with other values
// of its constant labels gives further series of it. Declaring another
// definition under its name, or a name that another metric occupies with its
// samples, is an error that shows both.
type Registry struct {
	self selfMetrics

	families atomic.Pointer[[]*family] // in the order of declaration; changed under mu
	limit    atomic.Int64              // the cap of series a family; 0 before Connect
	limiter  errorLimiter              // reports troubles, each kind once a minute
	damage   damage                    // found in Redis and not reported
	sampled  sampler                   // asks the sources, the functions and the runtime
	former   formerSources             // the importers of sources that were removed
	outgoing outgoing                  // the pages on their way to clients
	awaited  awaitedFamilies           // in which synchronous writes wait
	// gaugesForgotten says that deletions of gauges were dropped: the next write of
	// gauges replaces all that Redis has of this process.
	gaugesForgotten atomic.Bool

	mu     sync.Mutex
	byName map[string]*family // guarded by mu
	owners map[string]*family // every name on the page and whose it is; guarded by mu
	closed bool               // guarded by mu

	conn atomic.Pointer[connection] // nil before Connect; set under mu
}

// New returns an empty registry.
func New() *Registry {
	r := &Registry{byName: map[string]*family{}, owners: map[string]*family{}}
	r.families.Store(new([]*family))
	r.sampled.reg, r.sampled.changed = r, make(chan struct{}, 1)
	r.self.declare(r)
	return r
}

// declare returns the family of a definition, with its constant labels; a new
// one if need be. A metric without labels has its one child from here on.
func (r *Registry) declare(d definition) (*constants, error) {
	d.labelNames = slices.Clone(d.labelNames)
	if err := d.validate(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.byName[d.name]; f != nil {
		if !f.def.same(&d) {
			return nil, &DefinitionError{Existing: f.def.String(), Requested: d.String()}
		}
		return f.constantsOf(&d), nil
	}
	var c *constants
	err := r.enter(&d, func(f *family) { c = f.constantsOf(&d) })
	return c, err
}

// enter makes the family of a definition whose name is free. begin adds what it is to have before
// others see it. The caller holds mu.
func (r *Registry) enter(d *definition, begin func(*family)) error {
	for _, name := range wire.OwnedNames(d.name, d.kind) {
		if f := r.owners[name]; f != nil {
			return fmt.Errorf("shoal: %s %q would write samples of the name %s, as %s does: rename one of the two",
				d.kind, d.name, name, &f.def)
		}
	}
	if c := r.conn.Load(); c != nil {
		if err := checkPeriods(d, c.opts.RefreshPeriod); err != nil {
			return err
		}
	}
	f := &family{reg: r, def: *d, writes: d.mode.writes()}
	f.sets.Store(new([]*constants))
	begin(f)
	for _, b := range append(slices.Clone(d.upper), math.Inf(1)) {
		f.bounds = append(f.bounds, wire.FormatBound(b))
	}
	r.byName[d.name] = f
	for _, name := range wire.OwnedNames(d.name, d.kind) {
		r.owners[name] = f
	}
	list := append(slices.Clone(*r.families.Load()), f)
	r.families.Store(&list)
	return nil
}

// limited says whether the cap of series is known.
func (r *Registry) limited() bool { return r.limit.Load() != 0 }

// seriesLimit is the cap of series of a family; before Connect the usual one.
func (r *Registry) seriesLimit() int {
	if n := r.limit.Load(); n != 0 {
		return int(n)
	}
	return DefSeriesLimit
}

// single returns the one child of a metric without labels.
func single[M any](r *Registry, d definition) (*M, error) {
	c, err := r.declare(d)
	if err != nil {
		return nil, err
	}
	s, err := c.child(nil)
	if err != nil {
		return nil, err
	}
	return s.metric.(*M), nil
}

func vec[M Counter | Gauge | Summary | Histogram](r *Registry, d definition) (*Vec[M], error) {
	c, err := r.declare(d)
	if err != nil {
		return nil, err
	}
	return &Vec[M]{consts: c}, nil
}

// must panics if a declaration failed, which is a mistake in the program.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
