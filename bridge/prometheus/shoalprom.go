// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	shoal "github.com/shoal-metrics/shoal/core"
)

// Opts are the settings of a bridge. All may be left out.
//
// The keys of Modes and the elements of Skip are names of families as Gather gives them, or patterns
// of [path.Match] such as "db_*", whose * also matches a slash.
type Opts struct {
	// Modes says how the page shows gauges, by their names. A name goes before a pattern, and a longer
	// pattern before a shorter one. A counter that every process reads from one place, such as
	// a database's own, becomes a gauge if its mode is Latest, Max, Min or Avg; of Sum and
	// PerProcess only if its name is a key, so that a pattern for gauges leaves counters alone.
	// Histograms and summaries have no mode. [shoal.Total] is refused, since it can
	// only be added to. Defaults to PerProcess for all.
	Modes map[string]shoal.Mode
	// Skip lists what is left out. Two things that client_golang's default collectors have are left
	// out anyway, unless Modes names them: process_network_*, which Linux counts for all processes
	// of a network namespace together, so that each would add what all of them sent; and
	// go_memstats_alloc_bytes, which in OpenMetrics has the name of
	// go_memstats_alloc_bytes_total, and the value of go_memstats_heap_alloc_bytes.
	Skip []string
	// Prefix stands before the names of all families on the page. Defaults to none.
	Prefix string
	// Period is the time between two calls of Gather. Defaults to [shoal.DefSourcePeriod].
	Period time.Duration
	// Quantiles shows the quantiles of a summary as gauges of each process, under
	// the summary's name and "_quantile", with the label quantile. One of NaN, of a summary without
	// recent observations, is left out. Modes and Skip know these gauges by that
	// name. Defaults to false.
	Quantiles bool
}

// Bridge makes the registry import what a gatherer gives, until stop is called or the registry is
// closed. stop gathers once more and deletes the gauges, unless their mode is Latest; what was
// counted stays, and goes on if the gatherer is bridged to the registry again. A mistake in the
// options is an error, and so is a second bridge from the same gatherer into the same registry,
// which would count everything twice.
func Bridge(reg *shoal.Registry, from prometheus.Gatherer, o Opts) (stop func(), err error) {
	s, err := newSource(reg, from, o)
	if err != nil {
		return nil, fmt.Errorf("shoalprom: %w", err)
	}
	stop, err = reg.AddSource(s, shoal.SourceOpts{
		Name: fmt.Sprintf("shoalprom.Bridge of %T", from), Period: o.Period, Cumulative: true,
		Mode: s.mode, Key: from,
	})
	if err != nil {
		return nil, fmt.Errorf("shoalprom: %w", err)
	}
	return stop, nil
}

// newSource checks the arguments of [Bridge].
func newSource(reg *shoal.Registry, from prometheus.Gatherer, o Opts) (*source, error) {
	switch {
	case reg == nil:
		return nil, errors.New("the registry is nil: use shoal.Default() or shoal.New()")
	case from == nil:
		return nil, errors.New("the gatherer is nil: use prometheus.DefaultGatherer or a prometheus.Registry")
	case hasShoal(from):
		return nil, errors.New("the gatherer has a shoal.Registry in it, which has the metrics of all processes: " +
			"leave it out, since each process would add them once more")
	case o.Prefix != "" && !model.LegacyValidation.IsValidMetricName(o.Prefix):
		return nil, fmt.Errorf("Opts.Prefix is %q: use letters, digits, '_' and ':', and no digit first", o.Prefix)
	}
	r, err := newRules(o.Modes, o.Skip)
	if err != nil {
		return nil, err
	}
	return &source{
		from: from, rules: r, prefix: o.Prefix, quantiles: o.Quantiles,
		families: map[string]*family{}, modes: map[string]shoal.Mode{},
	}, nil
}

// hasShoal says whether a gatherer is a registry of shoal, or Gatherers that contain one.
func hasShoal(from prometheus.Gatherer) bool {
	switch from := from.(type) {
	case *shoal.Registry:
		return true
	case prometheus.Gatherers:
		return slices.ContainsFunc(from, hasShoal)
	}
	return false
}
