// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// GaugeOpts describes a gauge, a [GaugeVec] or a gauge function.
type GaugeOpts struct {
	// Namespace, Subsystem and Name, joined by underscores, are the metric's
	// name. Only Name is needed.
	Namespace, Subsystem, Name string
	// Help says what is measured, with its unit. Defaults to no text.
	Help string
	// ConstLabels are labels with fixed values. A further declaration of the
	// metric with other values has series of its own. Defaults to none.
	ConstLabels Labels
	// Mode says what the page shows of several processes' values. Defaults to
	// PerProcess.
	Mode Mode
	// Expire is how long a value stays in Redis after its last refresh. It must be above the
	// registry's Opts.RefreshPeriod, except for a Latest gauge, which is not refreshed. A
	// Total gauge has none. Defaults to 60 s, and for Latest to no end.
	Expire time.Duration
	// Retention is how long Redis keeps a series of a Latest or Total gauge that no living
	// process holds, which means that none has a child for it. At least twice
	// Opts.RefreshPeriod; KeepForever keeps the series. Gauges of other modes have none, since
	// their values end with their process. Defaults to Opts.Retention.
	Retention time.Duration
}

func (o GaugeOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeGauge, mode: o.Mode, expire: o.Expire, retention: o.Retention, labelNames: labels,
	}
	if d.expire == 0 && d.mode != Latest && d.mode != Total {
		d.expire = DefExpire
	}
	d.setConstLabels(o.ConstLabels)
	return d
}

// Gauge is a number that goes up and down. Its value belongs to this process: it appears on
// the page with the first write, and vanishes when the process closes or dies. In the modes
// [Latest] and [Total] it belongs to no process. [Mode] says how the page shows the values of
// several processes. Its methods are safe for concurrent use.
//
// A write that the mode does not allow is dropped and counted in
// shoal_rejected_observations_total.
type Gauge struct {
	series
	sum              // its value; of a Total, what was added since the last drain
	at  atomic.Int64 // Latest only: when it was set, by monotonicNow
}

// The values of a gauge's series.state.
const (
	gaugeUnset   = iota // never written, or deleted; of a Total always
	gaugeSet            // it has a value
	gaugeDropped        // deleted here, and not in Redis yet
)

// Set sets the value, which may be NaN or an infinity. A [Total] refuses it, and beyond the
// cap of series the value is dropped; shoal_rejected_observations_total counts both. It
// touches only memory and never fails, as do all methods without an error.
func (g *Gauge) Set(v float64) {
	switch {
	case g.consts.fam.writes != ownValue || g.overflow:
		g.setChecked(v)
	case !g.home.set(v):
		g.setContended(v)
		g.written()
	case g.state.Load() != gaugeSet || !g.dirty.Load():
		g.written()
	}
}

// setChecked is Set where the mode or the cap may refuse it.
func (g *Gauge) setChecked(v float64) {
	if reason := g.refusesSet(); reason != "" {
		g.consts.fam.reg.reject(reason, g.consts.fam)
		return
	}
	g.set(v)
	g.at.Store(monotonicNow())
	g.written()
}

// written marks the gauge as set, and its series as dirty, after its value was stored.
func (g *Gauge) written() {
	g.state.Store(gaugeSet)
	g.touch()
}

// refusesSet says why the value may not be set; it is empty if it may.
func (g *Gauge) refusesSet() (reason string) {
	switch {
	case g.consts.fam.writes == totalValue:
		return reasonSetOnTotal
	case g.overflow: // the last value among many label sets says nothing
		return reasonBeyondCap
	}
	return ""
}

// Inc adds 1.
func (g *Gauge) Inc() { g.Add(1) }

// Dec subtracts 1.
func (g *Gauge) Dec() { g.Add(-1) }

// Sub subtracts v.
func (g *Gauge) Sub(v float64) { g.Add(-v) }

// Add adds v, which may be negative, to this process's value; for a [Total], to the sum of all
// processes. A [Latest] refuses it, and a Total refuses NaN and the infinities.
func (g *Gauge) Add(v float64) {
	switch {
	case g.consts.fam.writes != ownValue:
		g.addChecked(v)
	case !g.home.add(v):
		g.addContended(v, nil, 0)
		g.written()
	case g.state.Load() != gaugeSet || !g.dirty.Load():
		g.written()
	}
}

// addChecked is Add where the mode may refuse it.
func (g *Gauge) addChecked(v float64) {
	if reason := g.refusesAdd(v); reason != "" {
		g.consts.fam.reg.reject(reason, g.consts.fam)
		return
	}
	g.add(v)
	g.touch()
}

// refusesAdd says why v may not be added; it is empty if it may.
func (g *Gauge) refusesAdd(v float64) (reason string) {
	switch {
	case g.consts.fam.writes == latestValue:
		return reasonAddOnLatest
	case g.consts.fam.writes == totalValue && !finite(v):
		return reasonOf(v)
	}
	return ""
}

// SetToCurrentTime sets the value to the wall clock's Unix time in seconds.
func (g *Gauge) SetToCurrentTime() {
	g.Set(float64(time.Now().UnixNano()) / 1e9)
}

// SetSync sets the value and waits until Redis has it. Its errors are those of
// [Counter.AddSync]; that of a Total, and of a gauge beyond the cap of series, wraps
// [ErrRejected].
func (g *Gauge) SetSync(ctx context.Context, v float64) error {
	if reason := g.refusesSet(); reason != "" {
		return rejected(g.consts.fam, v, reason)
	}
	_, err := g.awaitAck(ctx, func() { g.Set(v) })
	return err
}

// AddSync adds v, which may be negative, and waits as [Gauge.SetSync] does.
// The error of a Latest wraps [ErrRejected].
func (g *Gauge) AddSync(ctx context.Context, v float64) error {
	if reason := g.refusesAdd(v); reason != "" {
		return rejected(g.consts.fam, v, reason)
	}
	_, err := g.awaitAck(ctx, func() { g.Add(v) })
	return err
}

// setIfChanged is Set, unless v is the gauge's value already: the refresh sends that again. A
// Latest gauge is always set, since Set gives its value a new time.
func (g *Gauge) setIfChanged(v float64) {
	same := math.Float64bits(g.value()) == bitsOf(v) && g.state.Load() == gaugeSet
	if !same || g.consts.fam.writes == latestValue {
		g.Set(v)
	}
}

// setUnlessZero is setIfChanged for a gauge that is taken for 0 before its first write.
func (g *Gauge) setUnlessZero(v float64) {
	if v != 0 || g.state.Load() == gaugeSet {
		g.setIfChanged(v)
	}
}

// drain takes what was added to a Total since the last drain.
func (g *Gauge) drain(dst []wire.Component) []wire.Component {
	return append(dst, wire.Component{Value: g.take()})
}
