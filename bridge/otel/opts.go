// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"cmp"
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
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Opts are the settings of a [Reader] and of an [Exporter]. All may be left out: then names and
// labels are those of the OpenTelemetry exporter for Prometheus.
type Opts struct {
	// Modes says what the page shows of a gauge that several processes have. A key is the name of an
	// instrument (queue.length), the new one if a view renames it, or that of its family on the page
	// (queue_length), or a pattern of path.Match for either (queue.*), whose * also matches a slash. A
	// name goes before a pattern, and a longer pattern before a shorter one. Total is refused, since
	// what comes from OpenTelemetry is set. Defaults to PerProcess for gauges, Sum for up-down
	// counters, and Max for target_info.
	Modes map[string]shoal.Mode
	// Namespace is put before the name of every metric, other than target_info. Defaults to
	// none.
	Namespace string
	// WithoutUnits leaves the unit out of names. Defaults to false.
	WithoutUnits bool
	// WithoutCounterSuffixes leaves _total out of the names of counters. Defaults to false.
	WithoutCounterSuffixes bool
	// WithoutScopeInfo leaves out the labels that begin with otel_scope_. If instruments of two
	// scopes then have the same name and attributes, what they count is added up; of gauges
	// one is shown, and the other is reported. Defaults to false.
	WithoutScopeInfo bool
	// WithoutTargetInfo leaves target_info out. Defaults to false.
	WithoutTargetInfo bool
	// ResourceAsConstantLabels chooses attributes of the resource that become labels of each
	// series. With an attribute that differs between processes, such as the host, each process
	// has series of its own. Defaults to none.
	ResourceAsConstantLabels attribute.Filter
	// ExponentialBounds are the upper bounds of the classic histograms that exponential ones
	// become, by name or pattern as in Modes. Defaults to powers of two, or of four, that fit the
	// unit: see the package's documentation.
	ExponentialBounds map[string][]float64
	// Aggregation chooses the aggregation for each kind of instrument. A view that chooses one for
	// an instrument goes before it. Defaults to sdkmetric.DefaultAggregationSelector.
	Aggregation sdkmetric.AggregationSelector
	// Temporality chooses the temporality of counters and of histograms. With either, each event is
	// counted exactly once. All other instruments, observable counters among them, are cumulative
	// whatever it says. Defaults to sdkmetric.LowMemoryTemporalitySelector: delta.
	Temporality sdkmetric.TemporalitySelector
	// Period is the time between two collections from a [Reader]. An [Exporter] has that of its
	// PeriodicReader. Defaults to [shoal.DefSourcePeriod], 5 s.
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
			return o, fmt.Errorf("shoalotel: Opts.Modes[%q]: a Total gauge can only be added to, and what comes from OpenTelemetry is set: use Sum", key)
		default:
			return o, fmt.Errorf("shoalotel: Opts.Modes[%q]: unknown gauge mode %q: use PerProcess, Sum, Max, Min, Avg or Latest", key, mode)
		}
	}
	for key, bounds := range o.ExponentialBounds {
		if err := checkKey("ExponentialBounds", key); err != nil {
			return o, err
		}
		if len(bounds) == 0 || !rising(bounds) {
			return o, fmt.Errorf("shoalotel: Opts.ExponentialBounds[%q]: use finite bounds, each above the one before, and not %v", key, bounds)
		}
	}
	if o.Namespace != "" {
		label := otlptranslator.LabelNamer{}
		namespace, err := label.Build(o.Namespace)
		if err != nil {
			return o, fmt.Errorf("shoalotel: Opts.Namespace: %w", err)
		}
		if strings.HasPrefix(namespace+"_", "shoal_") {
			return o, fmt.Errorf("shoalotel: Opts.Namespace is %q: names that begin with shoal_ are shoal's own: choose another", o.Namespace)
		}
		o.Namespace = namespace
	}
	if o.Aggregation == nil {
		o.Aggregation = sdkmetric.DefaultAggregationSelector
	}
	o.Temporality = temporality(o.Temporality)
	return o, nil
}

// temporality returns a selector that asks choose only about counters and histograms. In deltas, the
// SDK gives an observable counter's whole value again after a callback that did not observe once, a
// gauge only when it is recorded, and an up-down counter without its value.
func temporality(choose sdkmetric.TemporalitySelector) sdkmetric.TemporalitySelector {
	if choose == nil {
		choose = sdkmetric.LowMemoryTemporalitySelector
	}
	return func(k sdkmetric.InstrumentKind) metricdata.Temporality {
		if k == sdkmetric.InstrumentKindCounter || k == sdkmetric.InstrumentKindHistogram {
			return choose(k)
		}
		return metricdata.CumulativeTemporality
	}
}

func checkKey(field, key string) error {
	if key == "" {
		return fmt.Errorf("shoalotel: Opts.%s[%q]: an empty name: use an instrument's name, or a pattern such as \"queue.*\"", field, key)
	}
	if _, err := path.Match(key, ""); err != nil {
		return fmt.Errorf("shoalotel: Opts.%s[%q]: %w of path.Match: close each [, put a character after each \\, "+
			"or use * alone, as in \"queue.*\"", field, key, err)
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

// of returns what was said of the first of the names, or if there is nothing, of the next. A name
// goes before a pattern.
func (c choice[V]) of(names ...string) (v V, ok bool) {
	for _, name := range names {
		if v, ok := c.byName[name]; ok {
			return v, true
		}
	}
	for _, pattern := range c.patterns {
		for _, name := range names {
			if matches(pattern, name) {
				return c.byName[pattern], true
			}
		}
	}
	return v, false
}

// matches says whether a pattern matches a name. A slash, which the name of an instrument may have,
// is a character like any other.
func matches(pattern, name string) bool {
	const slash = "\x00"
	ok, _ := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(name, "/", slash))
	return ok
}
