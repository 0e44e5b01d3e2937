// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"math"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// CounterOpts describes a counter or a [CounterVec].
type CounterOpts struct {
	// Namespace, Subsystem and Name, joined by underscores, are the metric's
	// name. Only Name is needed. By custom a counter's name ends in "_total".
	Namespace, Subsystem, Name string
	// Help says what is counted. Defaults to no text.
	Help string
	// ConstLabels are labels with fixed values. A further declaration of the
	// metric with other values has series of its own. Defaults to none.
	ConstLabels Labels
	// Retention is how long Redis keeps a series that no living process holds, which means
	// that none has a child for it. At least twice Opts.RefreshPeriod; KeepForever keeps the
	// series. Defaults to Opts.Retention.
	Retention time.Duration
}

func (o CounterOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeCounter, labelNames: labels, retention: o.Retention,
	}
	d.setConstLabels(o.ConstLabels)
	return d
}

// Counter is a number that only grows: the sum of what all processes of the
// app ever added. Its methods are safe for concurrent use.
type Counter struct {
	series
	sum        // what was added since the last drain
	_   uint64 // makes it 128 bytes, which Go aligns to a cache line
}

// Inc adds 1. It touches only memory and never fails.
func (c *Counter) Inc() {
	if !c.home.add(1) {
		c.addContended(1, nil, 0)
	}
	c.touch()
}

// Add adds v. It touches only memory and never fails: a negative v, NaN and the infinities
// are dropped, and counted in shoal_rejected_observations_total.
func (c *Counter) Add(v float64) {
	if !addable(v) {
		c.consts.fam.reg.reject(reasonOf(v), c.consts.fam)
		return
	}
	if !c.home.add(v) {
		c.addContended(v, nil, 0)
	}
	c.touch()
}

// addable says whether a counter may grow by v.
func addable(v float64) bool { return v >= 0 && v <= math.MaxFloat64 }

// IncSync adds 1 and waits as [Counter.AddSync] does.
func (c *Counter) IncSync(ctx context.Context) (total float64, err error) {
	return c.AddSync(ctx, 1)
}

// AddSync adds v, waits until Redis has it, and returns the total of all processes. The total
// includes v, and perhaps later additions; it is 0 if the series was deleted meanwhile.
// Concurrent callers share round trips.
//
// Its errors tell what becomes of v. They wrap
//   - [ErrRejected], [ErrReadOnly] or [ErrClosed]: v goes nowhere;
//   - [ErrLost], perhaps with ErrClosed: Redis may have v or not,
//     and it is not sent again;
//   - [ErrNotConnected]: v is kept, and delivered after Connect or Open;
//   - a [*TypeClashError]: v is kept, and delivered if the name becomes free;
//   - the context's error: Redis has not acknowledged v yet. It stays queued and is
//     delivered exactly once, unless the error of Close says otherwise.
//
// So add v again only after an error of the first kind, if at all.
func (c *Counter) AddSync(ctx context.Context, v float64) (total float64, err error) {
	if !addable(v) {
		return 0, rejected(c.consts.fam, v, reasonOf(v))
	}
	text, err := c.awaitAck(ctx, func() { c.Add(v) })
	if err != nil || text == "" {
		return 0, err
	}
	return wire.ParseNumber(text)
}

// drain takes what was added since the last drain.
func (c *Counter) drain(dst []wire.Component) []wire.Component {
	return append(dst, wire.Component{Value: c.take()})
}
