// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Mode says how the gauges of several processes become the page's samples.
//
// Of what a process has itself, such as its open connections, the living
// processes' sum is wanted: Sum. What one process opens and another may close,
// such as a cart, is counted up and down by all of them: Total. What each of
// several processes measures of the same thing, such as the length of a queue
// in a database, is one value: Max, or Latest.
type Mode string

// The modes of a gauge. The folds look only at living processes and skip NaN.
const (
	// PerProcess shows every process's value, told apart by the label
	// gauge_index. It is the default.
	PerProcess Mode = ""
	// Sum shows the sum over the living processes: what a process had goes
	// with it.
	Sum Mode = wire.ModeSum
	// Max shows the largest value of a living process.
	Max Mode = wire.ModeMax
	// Min shows the smallest value of a living process.
	Min Mode = wire.ModeMin
	// Avg shows the mean over the living processes.
	Avg Mode = wire.ModeAvg
	// Latest shows the value that was set last, whichever process set it. It
	// belongs to no process and survives it: a batch job's last success. It
	// can only be set: Add, Inc, Dec and Sub are refused, since no process
	// knows what it would add to.
	Latest Mode = wire.ModeLatest
	// Total shows the sum of everything that all processes ever added, those
	// that are gone included, each addition exactly once: a counter that can
	// go down. It shows 0 from the declaration on, and a child with labels
	// from when it is asked for. It can only be added to: Set is refused, and
	// so are NaN and the infinities. What a killed process had not sent, or
	// would have subtracted later, stays wrong: use Sum for what ends with
	// its process.
	Total Mode = wire.ModeTotal
)

// gaugeWrites is what a mode makes of writes, in a form that they look at quickly.
type gaugeWrites uint8

const (
	ownValue    gaugeWrites = iota // of this process: set and added to
	latestValue                    // of all: set, with the time of it
	totalValue                     // of all: added to
)

func (m Mode) writes() gaugeWrites {
	switch m {
	case Latest:
		return latestValue
	case Total:
		return totalValue
	}
	return ownValue
}

func (m Mode) valid() bool {
	return slices.Contains([]Mode{PerProcess, Sum, Max, Min, Avg, Latest, Total}, m)
}

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
	// Expire is how long a value outlives its last refresh. It must be above
	// the registry's Opts.RefreshPeriod, except for Latest gauges, which are
	// not refreshed. A Total gauge has none. Defaults to 60 s, and for Latest
	// to no end.
	Expire time.Duration
}

func (o GaugeOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeGauge, mode: o.Mode, expire: o.Expire, labelNames: labels,
	}
	if d.expire == 0 && d.mode != Latest && d.mode != Total {
		d.expire = DefExpire
	}
	d.setConstLabels(o.ConstLabels)
	return d
}

// Gauge is a number that goes up and down. What it holds belongs to this
// process: it appears with its first write, is refreshed while the process
// lives, and vanishes when it closes or dies. In the modes [Latest] and
// [Total] it belongs to no process. See [Mode] for what the page makes of
// several processes. Its methods are safe for concurrent use.
//
// A write that the mode does not allow is dropped and counted in
// shoal_rejected_observations_total.
type Gauge struct {
	series
	bits  atomic.Uint64 // of the float64 value; not of a Total
	at    atomic.Int64  // Latest only: when it was set, see monotonicNow
	delta               // Total only
}

// What a gauge's series.state says of its value.
const (
	gaugeUnset   = iota // never written, or deleted: not shown; a Total's, always
	gaugeSet            // shown
	gaugeDropped        // deleted here, and Redis must hear of it
)

// Set sets the value, which may be NaN or an infinity. A [Total] refuses it. It
// touches only memory and never fails, as do all methods without an error.
func (g *Gauge) Set(v float64) {
	if g.consts.fam.writes == totalValue {
		g.consts.fam.reg.reject(reasonSetOnTotal, g.consts.fam)
		return
	}
	g.bits.Store(math.Float64bits(v))
	g.written()
}

// Inc adds 1.
func (g *Gauge) Inc() { g.Add(1) }

// Dec subtracts 1.
func (g *Gauge) Dec() { g.Add(-1) }

// Sub subtracts v.
func (g *Gauge) Sub(v float64) { g.Add(-v) }

// Add adds v, which may be negative, to what this process holds; of a [Total],
// to the sum of all processes. A [Latest] refuses it, and a Total refuses NaN
// and the infinities.
func (g *Gauge) Add(v float64) {
	if g.consts.fam.writes == ownValue {
		addFloat(&g.bits, v)
		g.written()
		return
	}
	if reason := g.refusesAdd(v); reason != "" {
		g.consts.fam.reg.reject(reason, g.consts.fam)
		return
	}
	g.gather(v)
	g.touch()
}

// refusesAdd says why v may not be added; empty if it may.
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
// [Counter.AddSync]; that of a Total wraps [ErrRejected].
func (g *Gauge) SetSync(ctx context.Context, v float64) error {
	if g.consts.fam.writes == totalValue {
		return rejected(g.consts.fam, v, reasonSetOnTotal)
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

// written notes that bits has another value.
func (g *Gauge) written() {
	if g.consts.fam.writes == latestValue {
		g.at.Store(monotonicNow())
	}
	if g.state.Load() != gaugeSet {
		g.state.Store(gaugeSet)
	}
	g.touch()
}

// show is Set, but does nothing where v is shown already: the refresh sees to
// that it stays. A Latest gauge's value is as old as its last Set.
func (g *Gauge) setIfChanged(v float64) {
	same := g.bits.Load() == math.Float64bits(v) && g.state.Load() == gaugeSet
	if !same || g.consts.fam.writes == latestValue {
		g.Set(v)
	}
}

// drain takes what was added to a Total since the last time.
func (g *Gauge) drain(dst []wire.Component) []wire.Component {
	return append(dst, wire.Component{Value: g.take()})
}

// value is what this process holds.
func (g *Gauge) value() float64 { return math.Float64frombits(g.bits.Load()) }

// started anchors monotonicNow.
var started = time.Now()

// monotonicNow is the time since this process started, in nanoseconds, which
// no change of the wall clock disturbs.
func monotonicNow() int64 { return int64(time.Since(started)) }
