// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// page is what a page shows: of each family its type and help, of each series its values.
type page map[string]string

// pageOf leaves out what only shoal has: its own families, and the label gauge_index; and labels
// without a value, which are the same as none to Prometheus, and which shoal does not show.
func pageOf(families []*dto.MetricFamily) page {
	p := page{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "shoal_") {
			continue
		}
		p["# "+f.GetName()] = fmt.Sprint(f.GetType(), " ", f.GetHelp())
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				if l.GetName() != "gauge_index" && l.GetValue() != "" {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
			}
			slices.Sort(labels)
			series := fmt.Sprintf("%s{%s}", f.GetName(), strings.Join(labels, ","))
			if _, twice := p[series]; twice {
				series += " again"
			}
			p[series] = values(m)
		}
	}
	return p
}

// values are those of a series. A fraction is compared to 12 digits, since deltas are rounded.
func values(m *dto.Metric) string {
	switch {
	case m.Counter != nil:
		return number(m.Counter.GetValue())
	case m.Gauge != nil:
		return number(m.Gauge.GetValue())
	case m.Summary != nil:
		return fmt.Sprint(m.Summary.GetSampleCount(), " ", number(m.Summary.GetSampleSum()))
	}
	h := m.Histogram
	text := fmt.Sprint(h.GetSampleCount(), " ", number(h.GetSampleSum()))
	for _, b := range h.Bucket {
		if !math.IsInf(b.GetUpperBound(), 1) {
			text += fmt.Sprint(" ", b.GetUpperBound(), ":", b.GetCumulativeCount())
		}
	}
	return text
}

func number(v float64) string { return fmt.Sprintf("%.12g", v) }

// differences are the lines by which two pages differ, empty if by none.
func (p page) differences(official page) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if want, ok := official[key]; !ok {
			lines = append(lines, fmt.Sprintf("only ours:     %s %s", key, p[key]))
		} else if p[key] != want {
			lines = append(lines, fmt.Sprintf("differs:       %s %s, official %s", key, p[key], want))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(official)) {
		if _, ok := p[key]; !ok {
			lines = append(lines, fmt.Sprintf("only official: %s %s", key, official[key]))
		}
	}
	return strings.Join(lines, "\n")
}
