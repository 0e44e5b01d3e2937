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
type Mode string

// The modes of a gauge. The folds look only at living processes and skip NaN.
const (
	// PerProcess shows every process's value, told apart by the label
	// gauge_index. It is the default.
	PerProcess Mode = ""
	// Sum shows the sum over the living processes.
	Sum Mode = wire.ModeSum
	// Max shows the largest value of a living process.
	Max Mode = wire.ModeMax
	// Min shows the smallest value of a living process.
	Min Mode = wire.ModeMin
	// Avg shows the mean over the living processes.
	Avg Mode = wire.ModeAvg
	// Latest shows the value that was set last, whichever process set it. It
	// belongs to no process and survives it: a batch job's last success.
	Latest Mode = wire.ModeLatest
)

func (m Mode) valid() bool {
	return slices.Contains([]Mode{PerProcess, Sum, Max, Min, Avg, Latest}, m)
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
	// not refreshed. Defaults to 60 s, and for Latest to no end.
	Expire time.Duration
}

func (o GaugeOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeGauge, mode: o.Mode, expire: o.Expire, labelNames: labels,
	}
	if d.expire == 0 && d.mode != Latest {
		d.expire = DefExpire
	}
	d.setConstLabels(o.ConstLabels)
	return d
}

// Gauge is a number that goes up and down. What it holds belongs to this
// process: it appears with its first write, is refreshed while the process
// lives, and vanishes when it closes or dies. See [Mode] for what the page
// makes of several processes. Its methods are safe for concurrent use.
type Gauge struct {
	series
	bits atomic.Uint64 // of the float64 value
	at   atomic.Int64  // Latest only: when it was set, see monotonicNow
	_    uint64        // up to 128 bytes, which Go aligns to a cache line
}

// What a gauge's series.state says of its value.
const (
	gaugeUnset   = iota // never written, or deleted: not shown
	gaugeSet            // shown
	gaugeDropped        // deleted here, and Redis must hear of it
)

// Set sets the value, which may be NaN or an infinity. It touches only memory
// and never fails, as do all methods without an error.
func (g *Gauge) Set(v float64) {
	g.bits.Store(math.Float64bits(v))
	g.written()
}

// Inc adds 1.
func (g *Gauge) Inc() { g.Add(1) }

// Dec subtracts 1.
func (g *Gauge) Dec() { g.Add(-1) }

// Sub subtracts v.
func (g *Gauge) Sub(v float64) { g.Add(-v) }

// Add adds v, which may be negative, to what this process holds.
func (g *Gauge) Add(v float64) {
	addFloat(&g.bits, v)
	g.written()
}

// SetToCurrentTime sets the value to the wall clock's Unix time in seconds.
func (g *Gauge) SetToCurrentTime() {
	g.Set(float64(time.Now().UnixNano()) / 1e9)
}

// SetSync sets the value and waits until Redis has it. Its errors are those of
// [Counter.AddSync].
func (g *Gauge) SetSync(ctx context.Context, v float64) error {
	_, err := g.confirm(ctx, func() { g.Set(v) })
	return err
}

// AddSync adds v, which may be negative, and waits as [Gauge.SetSync] does.
func (g *Gauge) AddSync(ctx context.Context, v float64) error {
	_, err := g.confirm(ctx, func() { g.Add(v) })
	return err
}

func (g *Gauge) written() {
	if g.fam.def.mode == Latest {
		g.at.Store(monotonicNow())
	}
	if g.state.Load() != gaugeSet {
		g.state.Store(gaugeSet)
	}
	g.touch()
}

// show is Set, but does nothing where v is shown already: the refresh sees to
// that it stays. A Latest gauge's value is as old as its last Set.
func (g *Gauge) show(v float64) {
	same := g.bits.Load() == math.Float64bits(v) && g.state.Load() == gaugeSet
	if !same || g.fam.def.mode == Latest {
		g.Set(v)
	}
}

// value is what this process holds.
func (g *Gauge) value() float64 { return math.Float64frombits(g.bits.Load()) }

// started anchors monotonicNow.
var started = time.Now()

// monotonicNow is the time since this process started, in nanoseconds, which
// no change of the wall clock disturbs.
func monotonicNow() int64 { return int64(time.Since(started)) }
