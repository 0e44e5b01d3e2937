// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// SummaryOpts describes a summary or a [SummaryVec].
type SummaryOpts struct {
	// Namespace, Subsystem and Name, joined by underscores, are the metric's
	// name. Only Name is needed.
	Namespace, Subsystem, Name string
	// Help says what is observed, with its unit. Defaults to no text.
	Help string
	// ConstLabels are labels with fixed values. A further declaration of the
	// metric with other values has series of its own. Defaults to none.
	ConstLabels Labels
	// Retention is how long Redis keeps a series that no living process holds, which means
	// that none has a child for it. At least twice Opts.RefreshPeriod; KeepForever keeps the
	// series. Defaults to Opts.Retention.
	Retention time.Duration
}

func (o SummaryOpts) definition(labels []string) definition {
	d := definition{
		name: fullName(o.Namespace, o.Subsystem, o.Name), noName: o.Name == "", help: o.Help,
		kind: wire.TypeSummary, labelNames: labels, retention: o.Retention,
	}
	d.setConstLabels(o.ConstLabels)
	return d
}

// Summary is the count and the sum of what all processes of the app ever observed. It has no
// quantiles, since those of several processes cannot be joined: use a [Histogram] for them.
// Its methods are safe for concurrent use.
type Summary struct {
	series
	sum
	counts [1]uint64 // of the home cell
}

// Observe adds one observation. It touches only memory and never fails: NaN and the
// infinities are dropped, and counted in shoal_rejected_observations_total.
func (s *Summary) Observe(v float64) {
	if !finite(v) {
		s.consts.fam.reg.reject(reasonOf(v), s.consts.fam)
		return
	}
	s.observe(v, s.counts[:], 0)
	s.touch()
}

// observeMany adds n observations, whose sum is v. Both are at least 0, and v is finite.
func (s *Summary) observeMany(n uint64, v float64) {
	s.addCounts(v, s.counts[:], []uint64{n})
	s.touch()
}

// ObserveSync adds one observation and waits until Redis has it. Its errors
// are those of [Counter.AddSync].
func (s *Summary) ObserveSync(ctx context.Context, v float64) error {
	if !finite(v) {
		return rejected(s.consts.fam, v, reasonOf(v))
	}
	_, err := s.awaitAck(ctx, func() { s.Observe(v) })
	return err
}

// drain takes what was observed since the last drain.
func (s *Summary) drain(dst []wire.Component) []wire.Component {
	var count [1]uint64
	sum := s.takeCounts(s.counts[:], count[:])
	return append(dst,
		wire.Component{Name: wire.ComponentSum, Value: sum},
		wire.Component{Name: wire.ComponentCount, Value: float64(count[0])})
}
