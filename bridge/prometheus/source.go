// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
}

// family is what the bridge makes of a gathered name. All but reported never changes.
type family struct {
	pageName string
	leftOut  bool  // by Opts.Skip, or since wrong
	wrong    error // says that another family has the name on the page
	mode     shoal.Mode
	named    bool // the mode is that of the very name
	moded    bool // there is a mode for the family
	reported bool // a note about the family was in an error of Collect; guarded by source.mu
}

// Collect gathers. Its error has that of Gather, and notes about families of which only a part
// is imported, or nothing: each family has one, once.
func (s *source) Collect(context.Context) ([]*dto.MetricFamily, error) {
	gathered, err := s.from.Gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	families := make([]*dto.MetricFamily, 0, len(gathered))
	var notes []error
	add := func(f *dto.MetricFamily) {
		into, note := s.translate(f, gathered)
		if into != nil {
			families = append(families, into)
		}
		if note != nil {
			notes = append(notes, note)
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
	return families, errors.Join(append(notes, err)...)
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
func (s *source) translate(gathered *dto.MetricFamily, all []*dto.MetricFamily) (*dto.MetricFamily, error) {
	f := s.family(gathered.GetName(), all)
	note := f.note(gathered)
	kind := gathered.GetType()
	if f.leftOut || kind == dto.MetricType_GAUGE_HISTOGRAM {
		return nil, note
	}
	metrics := escapeLabels(gathered.GetMetric())
	if kind == dto.MetricType_COUNTER && f.isGauge() {
		kind, metrics = dto.MetricType_GAUGE, asGauges(metrics)
	}
	if f.pageName == gathered.GetName() && kind == gathered.GetType() && sameSlice(metrics, gathered.GetMetric()) {
		return gathered, note
	}
	return &dto.MetricFamily{
		Name: &f.pageName, Help: gathered.Help, Type: &kind, Metric: metrics, Unit: gathered.Unit,
	}, note
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

// note returns what the user should know of the family, once.
func (f *family) note(gathered *dto.MetricFamily) error {
	if f.reported {
		return nil
	}
	err := f.wrong
	switch kind := gathered.GetType(); {
	case f.leftOut:
	case kind == dto.MetricType_GAUGE_HISTOGRAM:
		err = fmt.Errorf("the gauge histogram %q is left out, since shoal has none: skip it, or use a histogram", gathered.GetName())
	case kind == dto.MetricType_HISTOGRAM && slices.ContainsFunc(gathered.GetMetric(), isNative):
		err = fmt.Errorf("of the native histogram %q only the classic buckets, count and sum are imported: "+
			"set HistogramOpts.Buckets as well", gathered.GetName())
	case (kind == dto.MetricType_HISTOGRAM || kind == dto.MetricType_SUMMARY) && f.named:
		err = fmt.Errorf("Opts.Modes[%q] has no effect, since it is a %v and no gauge", gathered.GetName(), kind)
	}
	f.reported = err != nil
	return err
}

func isNative(m *dto.Metric) bool { return m.GetHistogram() != nil && m.Histogram.Schema != nil }

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
