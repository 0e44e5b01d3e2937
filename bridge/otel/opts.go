// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/otlptranslator"
	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Opts are the settings of a [Reader] and of an [Exporter]. All may be left out: then names and
// labels are those of the OpenTelemetry exporter for Prometheus.
type Opts struct {
	// Modes say how the page shows gauges that several processes set. A key is the name of an
	// instrument (queue.length) or that of its family on the page (queue_length), or a pattern
	// of path.Match of either (queue.*). A name beats a pattern, and a longer pattern a shorter
	// one. Total is refused, since what comes from OpenTelemetry is set. Defaults to
	// PerProcess for gauges, Sum for up-down counters, and Max for target_info.
	Modes map[string]shoal.Mode
	// Namespace is put before the name of every metric, other than target_info. Defaults to
	// none.
	Namespace string
	// WithoutUnits leaves the unit out of names.
	WithoutUnits bool
	// WithoutCounterSuffixes leaves _total out of the names of counters.
	WithoutCounterSuffixes bool
	// WithoutScopeInfo leaves out the labels that begin with otel_scope_. If instruments of two
	// scopes then have the same name and attributes, what they count is added up; of gauges
	// one is shown, and the other is reported.
	WithoutScopeInfo bool
	// WithoutTargetInfo leaves target_info out.
	WithoutTargetInfo bool
	// ResourceAsConstantLabels chooses attributes of the resource that become labels of each
	// series. What differs between processes, such as the host, makes series of their own for
	// each process. Defaults to none.
	ResourceAsConstantLabels attribute.Filter
	// ExponentialBounds are the upper bounds of the classic histograms that exponential ones
	// become, by name or pattern as in Modes. Defaults to powers of two, or of four, that fit the
	// unit: see the package's documentation.
	ExponentialBounds map[string][]float64
	// Aggregation chooses the aggregation for each kind of instrument. Defaults to that of the
	// SDK. Views, which say it for an instrument, come before it.
	Aggregation sdkmetric.AggregationSelector
	// Temporality chooses the temporality for each kind of instrument. Any is counted
	// exactly once, but up-down counters must be cumulative. Defaults to delta for counters
	// and histograms, and cumulative for the rest.
	Temporality sdkmetric.TemporalitySelector
	// Period is the time between two collections by a [Reader]. An [Exporter] has that of its
	// PeriodicReader. Defaults to 5 s.
	Period time.Duration
}

// withDefaults returns the options with what was left out, or says what is wrong with them.
func (o Opts) withDefaults() (Opts, error) {
	for key, mode := range o.Modes {
		if err := checkKey("Modes", key); err != nil {
			return o, err
		}
		switch mode {
		case shoal.PerProcess, shoal.Sum, shoal.Max, shoal.Min, shoal.Avg, shoal.Latest:
		case shoal.Total:
			return o, fmt.Errorf("shoalotel: Opts.Modes[%q]: a Total can only be added to, and what comes from OpenTelemetry is set: use Sum", key)
		default:
			return o, fmt.Errorf("shoalotel: Opts.Modes[%q]: there is no mode %q", key, mode)
		}
	}
	for key, bounds := range o.ExponentialBounds {
		if err := checkKey("ExponentialBounds", key); err != nil {
			return o, err
		}
		if len(bounds) == 0 || !rising(bounds) {
			return o, fmt.Errorf("shoalotel: Opts.ExponentialBounds[%q]: want finite bounds, each above the one before, not %v", key, bounds)
		}
	}
	if o.Namespace != "" {
		label := otlptranslator.LabelNamer{}
		namespace, err := label.Build(o.Namespace)
		if err != nil {
			return o, fmt.Errorf("shoalotel: Opts.Namespace: %w", err)
		}
		o.Namespace = namespace
	}
	if o.Aggregation == nil {
		o.Aggregation = sdkmetric.DefaultAggregationSelector
	}
	if o.Temporality == nil {
		o.Temporality = sdkmetric.LowMemoryTemporalitySelector
	}
	return o, nil
}

func checkKey(field, key string) error {
	_, err := path.Match(key, "")
	if err == nil && key == "" {
		err = errors.New("an empty name")
	}
	if err != nil {
		return fmt.Errorf("shoalotel: Opts.%s[%q]: %w", field, key, err)
	}
	return nil
}

// choice finds what was said of an instrument, by name or by pattern.
type choice[V any] struct {
	byName   map[string]V
	patterns []string // those that come first win
}

func newChoice[V any](m map[string]V) choice[V] {
	patterns := slices.DeleteFunc(slices.Collect(maps.Keys(m)), func(key string) bool {
		return !strings.ContainsAny(key, `*?[\`)
	})
	slices.SortFunc(patterns, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return choice[V]{m, patterns}
}

// of returns what was said of the first of the names, or else of the next.
func (c choice[V]) of(names ...string) (v V, ok bool) {
	for _, name := range names {
		if v, ok := c.byName[name]; ok {
			return v, true
		}
	}
	for _, pattern := range c.patterns {
		for _, name := range names {
			if ok, _ := path.Match(pattern, name); ok {
				return c.byName[pattern], true
			}
		}
	}
	return v, false
}
