// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
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
	// Modes says what the page shows of a gauge that several processes have. A name goes before a
	// pattern, and a longer pattern before a shorter one. A counter becomes a gauge if its mode is
	// Latest, Max, Min or Avg: that is for a counter that every process reads from one place, such
	// as a database's own. With Sum and PerProcess a counter becomes a gauge only if its very name
	// is a key, so that a pattern for gauges leaves counters alone. Histograms and summaries have no
	// mode. [shoal.Total] is refused, since it can only be added to. Defaults to PerProcess for all
	// gauges.
	Modes map[string]shoal.Mode
	// Skip lists what is left out. process_network_*, which client_golang's default collectors have, is
	// always left out, unless Modes has the very name, or a pattern with the mode Latest, Max, Min or
	// Avg: Linux counts these for all processes of a network namespace together, and each process
	// would add what all of them sent.
	Skip []string
	// Prefix is put before the name of every family; Modes and Skip match the names without it.
	// Defaults to none.
	Prefix string
	// Period is the time between two calls of Gather. Defaults to [shoal.DefSourcePeriod], 5 s.
	Period time.Duration
	// Quantiles adds the quantiles of each summary <name>, as gauges <name>_quantile of each process
	// with the label quantile. Modes and Skip match these names. A quantile that is NaN, since the
	// summary has no recent observations, is left out. Defaults to false.
	Quantiles bool
}

// Bridge makes the registry import what the gatherer gives, until stop is called or the registry is
// closed. stop gathers once more and deletes the gauges, unless their mode is Latest. What was
// counted stays, and its totals go on if the gatherer is bridged to the registry again; a gauge keeps
// the mode that it had.
//
// Bridge returns an error for a mistake in the options, and for a second bridge from the same gatherer
// into the same registry, which would count everything twice. Gatherers of the same registries in the
// same order are the same gatherer. A function is never the same as another: bridge it once, and not
// again after stop.
func Bridge(reg *shoal.Registry, from prometheus.Gatherer, o Opts) (stop func(), err error) {
	s, err := newSource(reg, from, o)
	if err != nil {
		return nil, fmt.Errorf("shoalprom: %w", err)
	}
	stop, err = reg.AddSource(s, shoal.SourceOpts{
		Name: fmt.Sprintf("shoalprom.Bridge of %T", from), Period: o.Period, Cumulative: true,
		Mode: s.mode, Key: keyOf(from),
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
	case strings.HasPrefix(o.Prefix, "shoal_"):
		return nil, fmt.Errorf("Opts.Prefix is %q: names that begin with shoal_ are shoal's own: choose another", o.Prefix)
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

// keyOf is what a gatherer is known by. Gatherers can't be compared, but an array of them can, if
// each of them can.
func keyOf(from prometheus.Gatherer) any {
	list, ok := from.(prometheus.Gatherers)
	switch {
	case !ok:
		return from
	case len(list) == 1:
		return keyOf(list[0])
	}
	v := reflect.ValueOf(list)
	return v.Convert(reflect.ArrayOf(len(list), v.Type().Elem())).Interface()
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
