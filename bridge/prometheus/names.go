// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
)

// escapeName returns a name of a family as the page can have it.
func escapeName(name string) string { return model.EscapeName(name, model.UnderscoreEscaping) }

// escapeLabel is escapeName for a label, whose name may have no colon either.
func escapeLabel(name string) string { return strings.ReplaceAll(escapeName(name), ":", "_") }

func isLabelName(name string) bool { return model.LegacyValidation.IsValidLabelName(name) }

// escapeLabels returns the metrics with names of labels that the page can have. It copies what
// it changes: the slice, and the metrics and label pairs that are concerned.
func escapeLabels(metrics []*dto.Metric) []*dto.Metric {
	var valid knownNames
	copied := false
	for i, m := range metrics {
		if valid.all(m.GetLabel()) {
			continue
		}
		if !copied {
			metrics, copied = slices.Clone(metrics), true
		}
		metrics[i] = withLabels(m, escapedPairs(m.GetLabel()))
	}
	return metrics
}

// knownNames are the label names of the metric before, which are valid. Most metrics of a family have
// the same ones, as the same strings in memory, so that comparing them is quick.
type knownNames []string

func (k *knownNames) all(labels []*dto.LabelPair) bool {
	for i, l := range labels {
		name := l.GetName()
		if i < len(*k) && (*k)[i] == name {
			continue
		}
		if !isLabelName(name) {
			return false
		}
		*k = append((*k)[:min(i, len(*k))], name)
	}
	return true
}

func escapedPairs(labels []*dto.LabelPair) []*dto.LabelPair {
	labels = slices.Clone(labels)
	for i, l := range labels {
		if l != nil && l.Name != nil && !isLabelName(*l.Name) {
			labels[i] = &dto.LabelPair{Name: new(escapeLabel(*l.Name)), Value: l.Value}
		}
	}
	return labels
}

// withLabels returns a copy of a metric that has these labels.
func withLabels(m *dto.Metric, labels []*dto.LabelPair) *dto.Metric {
	return &dto.Metric{
		Label: labels, Gauge: m.Gauge, Counter: m.Counter, Summary: m.Summary, Untyped: m.Untyped,
		Histogram: m.Histogram, TimestampMs: m.TimestampMs,
	}
}
