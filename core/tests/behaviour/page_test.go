// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	shoal "github.com/shoal-metrics/shoal/core"
)

// page is an answer of /metrics in the text format.
type page struct {
	text    string
	samples map[string]string // the value's text by name{labels}
}

// scrape reads a page as Prometheus does. The test fails if it is not served,
// not valid, or inconsistent in itself.
func scrape(t testing.TB, reg *shoal.Registry) page {
	t.Helper()
	p, err := tryScrape(reg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryScrape(reg *shoal.Registry) (page, error) {
	rec := httptest.NewRecorder()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		return page{}, fmt.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	return parsePage(rec.Body.String())
}

func parsePage(text string) (page, error) {
	p := page{text: text, samples: map[string]string{}}
	if !strings.HasSuffix(text, "\n") {
		return p, fmt.Errorf("the page does not end with a newline: %q", text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return p, fmt.Errorf("%w in the page:\n%s", err, text)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if h := m.Histogram; h != nil {
				if err := belongsTogether(h); err != nil {
					return p, fmt.Errorf("%s%v: %w", f.GetName(), m.Label, err)
				}
			}
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		name := line[:at]
		if _, twice := p.samples[name]; twice {
			return p, fmt.Errorf("the series %s is there twice", name)
		}
		p.samples[name] = line[at+1:]
	}
	return p, nil
}

// belongsTogether checks that a histogram's parts are of one moment, as far as
// they tell: buckets ascend, and the last one is the count.
func belongsTogether(h *dto.Histogram) error {
	last := uint64(0)
	for _, b := range h.Bucket {
		if b.GetCumulativeCount() < last {
			return fmt.Errorf("the bucket le=%v has %d, the one below %d", b.GetUpperBound(), b.GetCumulativeCount(), last)
		}
		last = b.GetCumulativeCount()
	}
	if last != h.GetSampleCount() {
		return fmt.Errorf("the last bucket has %d, the count is %d", last, h.GetSampleCount())
	}
	return nil
}

// value returns a sample's value.
func (p page) value(series string) (float64, bool) {
	text, ok := p.samples[series]
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// has returns an error unless the page shows the series with this value.
func (p page) has(series, value string) error {
	switch got, ok := p.samples[series]; {
	case !ok:
		return fmt.Errorf("no series %s; of this metric there are %q", series, p.of(familyOf(series)))
	case got != value:
		return fmt.Errorf("%s is %s, want %s", series, got, value)
	}
	return nil
}

// want fails the test unless the page shows the series with these values:
// series and value by turns.
func (p page) want(t testing.TB, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := p.has(pairs[i], pairs[i+1]); err != nil {
			t.Error(err)
		}
	}
}

// of lists the lines of all samples whose name begins with a family's.
func (p page) of(family string) []string {
	var lines []string
	for series, value := range p.samples {
		if strings.HasPrefix(familyOf(series), family) {
			lines = append(lines, series+" "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// lacks returns an error if the page shows a sample of the metric.
func (p page) lacks(family string) error {
	if lines := p.of(family); len(lines) > 0 {
		return fmt.Errorf("the page still shows %q", lines)
	}
	return nil
}

// users is the page without shoal's own metrics.
func (p page) users() string {
	var b strings.Builder
	for line := range strings.Lines(p.text) {
		rest := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(rest, "shoal_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func familyOf(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}
