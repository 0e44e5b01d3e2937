// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
)

// source is a gatherer as the registry imports it. What Gather returns may be shared with others,
// so source never changes it, and copies only what has to be different.
type source struct {
	from      prometheus.Gatherer
	rules     rules
	prefix    string
	quantiles bool

	mu         sync.Mutex
	families   map[string]*family // by the gathered name; guarded by mu
	byPageName map[string]*family // without those that are left out; guarded by mu
	notes      notes              // guarded by mu
}

// family is what the bridge makes of a gathered name. All but noted never changes.
type family struct {
	pageName string
	leftOut  bool  // by Opts.Skip, or since wrong
	wrong    error // says that another family has the name on the page
	mode     shoal.Mode
	named    bool // the mode is that of the very name
	moded    bool // there is a mode for the family
	noted    bool // there was a note about the family; guarded by source.mu
}

// Collect gathers. Its error is that of Gather, and has the notes.
func (s *source) Collect(context.Context) ([]*dto.MetricFamily, error) {
	gathered, err := s.from.Gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	families := make([]*dto.MetricFamily, 0, len(gathered))
	add := func(f *dto.MetricFamily) {
		if into := s.translate(f, gathered); into != nil {
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
	return families, s.notes.join(err, time.Now())
}

// mode returns the mode of a family by its name on the page.
func (s *source) mode(pageName string) shoal.Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.byPageName[pageName]; f != nil {
		return f.mode
	}
	return shoal.PerProcess
}

// translate returns a gathered family as it is imported, or nil if it is not. The caller holds mu.
func (s *source) translate(gathered *dto.MetricFamily, all []*dto.MetricFamily) *dto.MetricFamily {
	f := s.family(gathered.GetName(), all)
	if !f.noted {
		if note := f.note(gathered); note != nil {
			f.noted, s.notes.untold = true, append(s.notes.untold, note)
		}
	}
	kind := gathered.GetType()
	if f.leftOut || kind == dto.MetricType_GAUGE_HISTOGRAM {
		return nil
	}
	metrics := escapeLabels(gathered.GetMetric())
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
func (s *source) family(name string, all []*dto.MetricFamily) *family {
	f := s.families[name]
	if f != nil {
		return f
	}
	escaped := escapeName(name)
	f = &family{pageName: s.prefix + escaped, leftOut: s.rules.skips(name) || s.rules.skips(escaped)}
	if f.mode, f.named, f.moded = s.rules.mode(name); !f.moded {
		f.mode, f.named, f.moded = s.rules.mode(escaped)
	}
	s.families[name] = f
	if f.leftOut {
		return f
	}
	if name == "" {
		f.pageName = "" // which the registry refuses, and does not with a prefix
	}
	isNamed := func(other *dto.MetricFamily) bool { return other.GetName() == escaped }
	if s.byPageName[f.pageName] != nil || escaped != name && slices.ContainsFunc(all, isNamed) {
		f.leftOut, f.wrong = true, fmt.Errorf("%q is left out, since another family is also %s on the page: rename one of them, or skip it",
			name, f.pageName)
		return f
	}
	s.byPageName[f.pageName] = f
	return f
}

// isGauge says whether the family becomes one of gauges if it has counters: see Opts.Modes.
func (f *family) isGauge() bool {
	return f.moded && (f.named || f.mode != shoal.PerProcess && f.mode != shoal.Sum)
}

// note returns what the user should know of a family; nil if there is nothing.
func (f *family) note(gathered *dto.MetricFamily) error {
	switch kind, name := gathered.GetType(), gathered.GetName(); {
	case f.leftOut:
		return f.wrong
	case kind == dto.MetricType_GAUGE_HISTOGRAM:
		return fmt.Errorf("the gauge histogram %q is left out, since shoal has none: skip it, or use a histogram", name)
	case (kind == dto.MetricType_HISTOGRAM || kind == dto.MetricType_SUMMARY) && f.named:
		return fmt.Errorf("Opts.Modes[%q] has no effect, since it is a %s and no gauge", name, strings.ToLower(kind.String()))
	}
	return nil
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
