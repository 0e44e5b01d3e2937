// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// page is a scraped page, by family.
type page map[string]*dto.MetricFamily

// scrape reads a page from whichever worker answers.
func (f *fleet) scrape() (page, error) {
	body, status, err := f.get(f.client, "/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

// requests sums a page's request counter and the counts of its latency
// histogram.
func (p page) requests() (counted, observed float64) {
	for _, m := range p["http_requests_total"].GetMetric() {
		counted += m.GetCounter().GetValue()
	}
	for _, m := range p["http_request_duration_seconds"].GetMetric() {
		observed += float64(m.GetHistogram().GetSampleCount())
	}
	return counted, observed
}

// indices lists the values of gauge_index of a family.
func (p page) indices(family string) map[string]bool {
	found := map[string]bool{}
	for _, m := range p[family].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "gauge_index" {
				found[l.GetValue()] = true
			}
		}
	}
	return found
}
