// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
)

// source makes a gatherer a [shoal.Source]. What Gather returns may be shared with others, so source
// never changes it, and copies only what has to be different.
type source struct {
	from      prometheus.Gatherer
	rules     rules
	prefix    string
	quantiles bool

	mu       sync.Mutex
	families map[string]*family    // by the gathered name; guarded by mu
	modes    map[string]shoal.Mode // by the name on the page; guarded by mu
}

// family is what the bridge makes of a gathered name. It never changes.
type family struct {
	pageName string
	skipped  bool
	mode     shoal.Mode
	named    bool // the mode is that of the very name
}

// Collect gathers.
func (s *source) Collect(context.Context) ([]*dto.MetricFamily, error) {
	gathered, err := s.from.Gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	families := make([]*dto.MetricFamily, 0, len(gathered))
	add := func(f *dto.MetricFamily) {
		if into := s.translate(f); into != nil {
			families = append(families, into)
		}
	}
	for _, f := range gathered {
		if f == nil {
			continue
		}
		add(f)
		if quantiles := s.quantilesOf(f); quantiles != nil {
			add(quantiles)
		}
	}
	return families, err
}

// mode returns the mode of a family by its name on the page.
func (s *source) mode(pageName string) shoal.Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modes[pageName]
}

// translate returns a gathered family as it is imported, or nil if it is not. The caller holds mu.
func (s *source) translate(gathered *dto.MetricFamily) *dto.MetricFamily {
	f := s.family(gathered.GetName())
	if f.skipped {
		return nil
	}
	kind, metrics := gathered.GetType(), escapeLabels(gathered.GetMetric())
	if kind == dto.MetricType_COUNTER && f.isGauge() {
		kind, metrics = dto.MetricType_GAUGE, asGauges(metrics)
	}
	if f.pageName == gathered.GetName() && kind == gathered.GetType() && sameSlice(metrics, gathered.GetMetric()) {
		return gathered
	}
	return &dto.MetricFamily{
		Name: &f.pageName, Help: gathered.Help, Type: &kind, Metric: metrics, Unit: gathered.Unit,
	}
}

// family returns what is known of a gathered name. The caller holds mu.
func (s *source) family(name string) *family {
	f := s.families[name]
	if f != nil {
		return f
	}
	escaped := escapeName(name)
	f = &family{pageName: s.prefix + escaped}
	var found bool
	if f.mode, f.named, found = s.rules.mode(name); !found {
		f.mode, f.named, _ = s.rules.mode(escaped)
	}
	f.skipped = s.rules.skips(name) || s.rules.skips(escaped) || !f.isGauge() && skippedByDefault(name)
	if name == "" {
		f.pageName = "" // without the prefix, so that the registry refuses it
	}
	s.families[name], s.modes[f.pageName] = f, f.mode
	return f
}

// isGauge says whether Opts.Modes makes the family one of gauges if it has counters.
func (f *family) isGauge() bool {
	return f.named || f.mode != shoal.PerProcess && f.mode != shoal.Sum
}

// asGauges returns counters as gauges.
func asGauges(counters []*dto.Metric) []*dto.Metric {
	gauges := make([]*dto.Metric, len(counters))
	for i, m := range counters {
		if c := m.GetCounter(); c != nil {
			gauges[i] = &dto.Metric{Label: m.Label, Gauge: &dto.Gauge{Value: c.Value}}
		}
	}
	return gauges
}

// sameSlice says whether two slices of one length are the same in memory.
func sameSlice(a, b []*dto.Metric) bool { return len(a) == 0 || &a[0] == &b[0] }
