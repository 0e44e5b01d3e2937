// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// translator makes families of what a reader has collected. Counters, histograms and summaries have
// what was counted since the last collection, gauges their values. It does no I/O, and what it
// returns shares no memory with what it was given. It is safe for concurrent use.
type translator struct {
	opts   Opts
	modes  choice[shoal.Mode]
	bounds choice[[]float64]

	mu     sync.Mutex
	names  *names            // guarded by mu
	known  map[string]*known // by the name of the family; guarded by mu
	totals *totals           // guarded by mu
}

// known is what the first instrument of a family has said. It holds for all later ones.
type known struct {
	typ    dto.MetricType
	help   string
	mode   shoal.Mode
	bounds []float64 // of exponential histograms
}

func newTranslator(o Opts) (*translator, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &translator{
		opts: o, modes: newChoice(o.Modes), bounds: newChoice(o.ExponentialBounds),
		known: map[string]*known{}, totals: newTotals(),
	}
	t.names = newNames(&t.opts)
	return t, nil
}

// mode is the mode of a family of gauges that was translated.
func (t *translator) mode(family string) shoal.Mode {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.known[family]; k != nil {
		return k.mode
	}
	return shoal.PerProcess
}

// translation is the state of one translation.
type translation struct {
	*translator
	scope    instrumentation.Scope
	common   []*dto.LabelPair              // the labels of the scope and of the resource
	counted  map[attribute.Distinct]*total // of the instrument
	families []*dto.MetricFamily
	byName   map[string]*dto.MetricFamily
	problems []error
}

// translate returns the families, and what it had to leave out.
func (t *translator) translate(rm *metricdata.ResourceMetrics) ([]*dto.MetricFamily, []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.totals.begin()
	c := &translation{translator: t, byName: map[string]*dto.MetricFamily{}}
	resource := attribute.EmptySet()
	if rm.Resource != nil {
		resource = rm.Resource.Set()
	}
	c.targetInfo(*resource)
	ofResource, err := c.resourceLabels(*resource)
	if err != nil {
		return c.families, append(c.problems, err)
	}
	// The SDK gives scopes in any order. Sorted, every process takes the same one for the first.
	for _, scope := range slices.SortedStableFunc(slices.Values(rm.ScopeMetrics), byScope) {
		c.scope, c.common = scope.Scope, ofResource
		if !t.opts.WithoutScopeInfo {
			labels, err := t.names.scope(&scope)
			if err != nil {
				c.problem(err)
				continue
			}
			c.common = append(labels, ofResource...)
		}
		for i := range scope.Metrics {
			c.instrument(&scope.Metrics[i])
		}
	}
	c.families = slices.DeleteFunc(c.families, func(f *dto.MetricFamily) bool { return len(f.Metric) == 0 })
	return c.families, c.problems
}

func byScope(a, b metricdata.ScopeMetrics) int {
	return cmp.Or(
		cmp.Compare(a.Scope.Name, b.Scope.Name),
		cmp.Compare(a.Scope.Version, b.Scope.Version),
		cmp.Compare(a.Scope.SchemaURL, b.Scope.SchemaURL),
		cmp.Compare(a.Scope.Attributes.Encoded(attribute.DefaultEncoder()), b.Scope.Attributes.Encoded(attribute.DefaultEncoder())),
	)
}

func (c *translation) problem(err error) {
	c.problems = append(c.problems, fmt.Errorf("shoalotel: %w", err))
}

func (c *translation) targetInfo(resource attribute.Set) {
	if c.opts.WithoutTargetInfo {
		return
	}
	labels, err := c.names.series(resource, nil)
	if err != nil {
		c.problem(fmt.Errorf("%s: %w", otlptranslator.TargetInfoMetricName, err))
		return
	}
	f := c.family(otlptranslator.TargetInfoMetricName, known{typ: dto.MetricType_GAUGE, help: "Target metadata", mode: shoal.Max})
	if f != nil {
		f.Metric = append(f.Metric, gauge(labels, 1))
	}
}

func (c *translation) resourceLabels(resource attribute.Set) ([]*dto.LabelPair, error) {
	if c.opts.ResourceAsConstantLabels == nil {
		return nil, nil
	}
	chosen, _ := resource.Filter(c.opts.ResourceAsConstantLabels)
	labels, err := c.names.attributes(chosen, 0)
	if err != nil {
		return nil, fmt.Errorf("shoalotel: nothing is imported, since the resource's labels can't be made: %w", err)
	}
	return labels, nil
}

// family returns the family of that name, to append to. If an earlier instrument gave it another
// type, it records a problem and returns nil. otherNames are further names that the options may use
// for the family.
func (c *translation) family(name string, k known, otherNames ...string) *dto.MetricFamily {
	first := c.known[name]
	if first == nil {
		all := append([]string{name}, otherNames...)
		if mode, ok := c.modes.of(all...); ok {
			k.mode = mode
		}
		if bounds, ok := c.bounds.of(all...); ok {
			k.bounds = bounds
		}
		first = &k
		c.known[name] = first
	}
	if first.typ != k.typ {
		c.problem(fmt.Errorf("%s: a %s is left out, since an instrument seen before made it a %s: rename one of the two", name, typeName(k.typ), typeName(first.typ)))
		return nil
	}
	f := c.byName[name]
	if f == nil {
		f = &dto.MetricFamily{Name: &name, Help: &first.help, Type: first.typ.Enum()}
		c.byName[name] = f
		c.families = append(c.families, f)
	}
	return f
}

func typeName(t dto.MetricType) string {
	switch t {
	case dto.MetricType_COUNTER:
		return "counter"
	case dto.MetricType_HISTOGRAM:
		return "histogram"
	case dto.MetricType_SUMMARY:
		return "summary"
	}
	return "gauge"
}

// instrument translates the points of an instrument.
func (c *translation) instrument(m *metricdata.Metrics) {
	c.counted = nil
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		addSum(c, m, d)
	case metricdata.Sum[float64]:
		addSum(c, m, d)
	case metricdata.Gauge[int64]:
		addGauges(c, m, d.DataPoints, otlptranslator.MetricTypeGauge, shoal.PerProcess)
	case metricdata.Gauge[float64]:
		addGauges(c, m, d.DataPoints, otlptranslator.MetricTypeGauge, shoal.PerProcess)
	case metricdata.Histogram[int64]:
		addHistogram(c, m, d)
	case metricdata.Histogram[float64]:
		addHistogram(c, m, d)
	case metricdata.ExponentialHistogram[int64]:
		addExponential(c, m, d)
	case metricdata.ExponentialHistogram[float64]:
		addExponential(c, m, d)
	case metricdata.Summary:
		addSummary(c, m, d)
	default:
		c.problem(fmt.Errorf("instrument %q: there is no translation of %T", m.Name, m.Data))
	}
}

// familyOf is the family of an instrument; nil if it can't have one.
func (c *translation) familyOf(m *metricdata.Metrics, typ otlptranslator.MetricType, k known) *dto.MetricFamily {
	name, err := c.names.metric(m, typ)
	if err != nil {
		c.problem(fmt.Errorf("instrument %q: %w", m.Name, err))
		return nil
	}
	k.help = m.Description
	return c.family(name, k, m.Name)
}

// labels are those of a point; ok is false if it can't have them.
func (c *translation) labels(f *dto.MetricFamily, attributes attribute.Set) (labels []*dto.LabelPair, ok bool) {
	labels, err := c.names.series(attributes, c.common)
	if err != nil {
		c.problem(fmt.Errorf("%s: a series is left out: %w", f.GetName(), err))
		return nil, false
	}
	return labels, true
}

// add appends a metric of instrument m. If it is a total, what was counted of it before is
// subtracted.
func (c *translation) add(f *dto.MetricFamily, m *metricdata.Metrics, metric *dto.Metric, p point) {
	if p.temporality == metricdata.CumulativeTemporality {
		if c.counted == nil {
			c.counted = c.totals.of(instrument{c.scope, m.Name, m.Unit, m.Description, reflect.TypeOf(m.Data)})
		}
		if err := c.totals.subtract(c.counted, metric, p); err != nil {
			c.problem(fmt.Errorf("%s: %w", f.GetName(), err))
			return
		}
	}
	f.Metric = append(f.Metric, metric)
}

// countable says whether an instrument's temporality is one that can be counted.
func (c *translation) countable(m *metricdata.Metrics, t metricdata.Temporality, monotonic bool) bool {
	switch {
	case t == metricdata.DeltaTemporality && !monotonic:
		c.problem(fmt.Errorf("instrument %q: an up-down counter in deltas, which only a producer gives, is left out: "+
			"its value is needed", m.Name))
	case t != metricdata.DeltaTemporality && t != metricdata.CumulativeTemporality:
		c.problem(fmt.Errorf("instrument %q: it is left out, since nothing says whether it is given as deltas or as totals", m.Name))
	default:
		return true
	}
	return false
}
