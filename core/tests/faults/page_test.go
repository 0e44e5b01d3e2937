// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"fmt"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// page holds the samples of a page by name{label="value"}.
type page map[string]float64

// parsePage reads a page as Prometheus does, and checks that histograms belong
// together.
func parsePage(text string) (page, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w in the page:\n%s", err, text)
	}
	p := page{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := labelText(m.Label)
			switch {
			case m.Counter != nil:
				p[name+labels] = m.Counter.GetValue()
			case m.Gauge != nil:
				p[name+labels] = m.Gauge.GetValue()
			case m.Summary != nil:
				p[name+"_sum"+labels] = m.Summary.GetSampleSum()
				p[name+"_count"+labels] = float64(m.Summary.GetSampleCount())
			case m.Histogram != nil:
				last := uint64(0)
				for _, b := range m.Histogram.Bucket {
					if n := b.GetCumulativeCount(); n < last {
						return p, fmt.Errorf("%s%s: the bucket le=%v has %d, the one below %d", name, labels, b.GetUpperBound(), n, last)
					}
					last = b.GetCumulativeCount()
					p[fmt.Sprintf("%s_bucket%s le=%v", name, labels, b.GetUpperBound())] = float64(last)
				}
				if n := m.Histogram.GetSampleCount(); n != last {
					return p, fmt.Errorf("%s%s: the count is %d, the last bucket %d", name, labels, n, last)
				}
				p[name+"_sum"+labels] = m.Histogram.GetSampleSum()
				p[name+"_count"+labels] = float64(last)
			}
		}
	}
	return p, nil
}

func labelText(labels []*dto.LabelPair) string {
	if len(labels) == 0 {
		return ""
	}
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (p page) value(series string) (float64, bool) {
	v, ok := p[series]
	return v, ok
}

// counters picks what must never fall, shoal's own counters included.
func (p page) counters() page {
	all := page{}
	for series, v := range p {
		name, _, _ := strings.Cut(series, "{")
		name, _, _ = strings.Cut(name, " ")
		for _, end := range []string{"_total", "_sum", "_count", "_bucket"} {
			if strings.HasSuffix(name, end) {
				all[series] = v
			}
		}
	}
	return all
}

// shows returns an error unless the page has exactly what was counted.
func (p page) shows(n tally) error {
	jobs := float64(n.events)
	size := p[`size_bytes_count{kind="0"}`] + p[`size_bytes_count{kind="1"}`]
	bytes := p[`size_bytes_sum{kind="0"}`] + p[`size_bytes_sum{kind="1"}`]
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"jobs_total", p["jobs_total"], jobs},
		{"took_seconds_count", p["took_seconds_count"], jobs},
		{"took_seconds_sum", p["took_seconds_sum"], 3 * jobs},
		{"took_seconds_bucket le=1", p["took_seconds_bucket le=1"], 0},
		{"took_seconds_bucket le=20", p["took_seconds_bucket le=20"], jobs},
		{"size_bytes_count", size, jobs},
		{"size_bytes_sum", bytes, 2 * jobs},
		{"paid_total", p["paid_total"], float64(n.tried)},
	} {
		if c.got != c.want {
			return fmt.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
	return nil
}

// idle returns an error unless the page has what the processes counted at
// their start.
func (p page) idle() error {
	if v := p["idle_total"]; v != 3 {
		return fmt.Errorf("idle_total is %v, want 3", v)
	}
	return nil
}
