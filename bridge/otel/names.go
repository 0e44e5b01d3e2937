// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	scopePrefix = "otel_scope_"
	// instanceID is the attribute service.instance.id under the name that it would have as a
	// label. It differs between processes that count one thing together.
	instanceID = "service_instance_id"
	// maxLabelNames bounds labelNames, where a program makes up attributes as it runs.
	maxLabelNames = 1000
)

// names makes the names of metrics and labels. It is not safe for concurrent use.
type names struct {
	opts       *Opts
	metrics    otlptranslator.MetricNamer
	labels     otlptranslator.LabelNamer
	labelNames map[attribute.Key]*string // those that were made so far
}

func newNames(o *Opts) *names {
	return &names{
		opts:       o,
		metrics:    otlptranslator.NewMetricNamer(o.Namespace, otlptranslator.UnderscoreEscapingWithSuffixes),
		labelNames: map[attribute.Key]*string{},
	}
}

// metric returns the name of the metric's family.
func (n *names) metric(m *metricdata.Metrics, typ otlptranslator.MetricType) (string, error) {
	if typ == otlptranslator.MetricTypeMonotonicCounter && n.opts.WithoutCounterSuffixes {
		typ = otlptranslator.MetricTypeNonMonotonicCounter
	}
	translated := otlptranslator.Metric{Name: m.Name, Type: typ}
	if !n.opts.WithoutUnits {
		translated.Unit = m.Unit
	}
	return n.metrics.Build(translated)
}

// label returns the name of the label for an attribute. All pairs of that name share one string.
func (n *names) label(key attribute.Key) (*string, error) {
	if name, ok := n.labelNames[key]; ok {
		return name, nil
	}
	name, err := n.labels.Build(string(key))
	if err != nil {
		return nil, err
	}
	if len(n.labelNames) == maxLabelNames {
		clear(n.labelNames)
	}
	n.labelNames[key] = &name
	return &name, nil
}

// attributes returns the attributes as labels, sorted by name, with capacity for as many others as
// more says. Attributes that get the same name become one label, with their values sorted and joined
// by semicolons.
func (n *names) attributes(set attribute.Set, more int) ([]*dto.LabelPair, error) {
	pairs := make([]struct { // one allocation for all
		dto.LabelPair
		value string
	}, set.Len())
	labels := make([]*dto.LabelPair, 0, set.Len()+more)
	for i := set.Iter(); i.Next(); {
		index, attr := i.IndexedAttribute()
		name, err := n.label(attr.Key)
		if err != nil {
			return nil, err
		}
		if *name == instanceID {
			continue
		}
		p := &pairs[index]
		p.value = attr.Value.String()
		p.Name, p.Value = name, &p.value
		labels = append(labels, &p.LabelPair)
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int {
		return cmp.Or(strings.Compare(a.GetName(), b.GetName()), strings.Compare(a.GetValue(), b.GetValue()))
	})
	kept := labels[:0]
	for _, l := range labels {
		if last := len(kept) - 1; last >= 0 && kept[last].GetName() == l.GetName() {
			kept[last].Value = new(kept[last].GetValue() + ";" + l.GetValue())
		} else {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// scope returns the labels of a scope. Attributes that would have the name of one of its other
// labels are left out.
func (n *names) scope(s *metricdata.ScopeMetrics) ([]*dto.LabelPair, error) {
	labels, err := n.attributes(s.Scope.Attributes, 3)
	if err != nil {
		return nil, fmt.Errorf("scope %q: %w", s.Scope.Name, err)
	}
	labels = slices.DeleteFunc(labels, func(l *dto.LabelPair) bool {
		return slices.Contains([]string{"name", "version", "schema_url"}, l.GetName())
	})
	for _, l := range labels {
		l.Name = new(scopePrefix + l.GetName())
	}
	return append(labels,
		&dto.LabelPair{Name: new(scopePrefix + "name"), Value: new(s.Scope.Name)},
		&dto.LabelPair{Name: new(scopePrefix + "version"), Value: new(s.Scope.Version)},
		&dto.LabelPair{Name: new(scopePrefix + "schema_url"), Value: new(s.Scope.SchemaURL)}), nil
}

// series returns the labels of a point, sorted by name: its attributes, and what its scope and
// resource add.
func (n *names) series(attributes attribute.Set, more []*dto.LabelPair) ([]*dto.LabelPair, error) {
	labels, err := n.attributes(attributes, len(more))
	if err != nil {
		return nil, err
	}
	labels = append(labels, more...)
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	for i, l := range labels[min(1, len(labels)):] {
		if l.GetName() == labels[i].GetName() {
			return nil, fmt.Errorf("an attribute and a label of its scope or resource are both named %s", l.GetName())
		}
	}
	return labels, nil
}
