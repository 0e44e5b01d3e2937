// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	shoal "github.com/shoal-metrics/shoal/core"
)

// Page is a page of /metrics in the text format.
type Page struct {
	Text string
	// Samples are the values' texts, by name{label="value"} as it is on the page.
	Samples map[string]string

	families map[string]*dto.MetricFamily
}

// Parse reads a page as Prometheus does. The error says what is not valid, or which parts
// of a histogram do not belong together.
func Parse(text string) (Page, error) {
	p := Page{Text: text, Samples: map[string]string{}}
	if !strings.HasSuffix(text, "\n") {
		return p, fmt.Errorf("the page does not end with a newline: %q", text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	var err error
	if p.families, err = parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		return p, fmt.Errorf("%w in the page:\n%s", err, text)
	}
	for _, f := range p.families {
		for _, m := range f.Metric {
			if err := belongsTogether(m.Histogram); err != nil {
				return p, fmt.Errorf("%s%v: %w", f.GetName(), m.Label, err)
			}
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		if _, twice := p.Samples[line[:at]]; twice {
			return p, fmt.Errorf("the series %s is there twice", line[:at])
		}
		p.Samples[line[:at]] = line[at+1:]
	}
	return p, nil
}

// belongsTogether checks that buckets ascend and that the last one is the count, as it is if a
// histogram's parts are of the same moment.
func belongsTogether(h *dto.Histogram) error {
	last := uint64(0)
	for _, b := range h.GetBucket() {
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

// Get scrapes a registry's page as a Prometheus with this scrape timeout does.
func Get(reg *shoal.Registry, timeout time.Duration) (rec *httptest.ResponseRecorder, took time.Duration) {
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if timeout > 0 {
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	}
	rec = httptest.NewRecorder()
	begin := time.Now()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(rec, req)
	return rec, time.Since(begin)
}

// TryScrape reads a registry's page.
func TryScrape(reg *shoal.Registry) (Page, error) {
	rec, _ := Get(reg, 0)
	return answered(rec.Code, rec.Body.String())
}

// Scrape reads a registry's page, and fails the test if it can't be read.
func Scrape(t testing.TB, reg *shoal.Registry) Page {
	t.Helper()
	p, err := TryScrape(reg)
	Must(t, err)
	return p
}

// Fetch reads the page at a URL, on a new connection, so that any process that listens there
// may answer.
func Fetch(ctx context.Context, url string) (Page, error) {
	status, body, err := Do(ctx, http.MethodGet, url)
	if err != nil {
		return Page{}, err
	}
	return answered(status, body)
}

// Do makes a request on a connection of its own.
func Do(ctx context.Context, method, url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	return Send(req)
}

// Send sends a request on a connection of its own.
func Send(req *http.Request) (status int, body string, err error) {
	req.Close = true
	res, err := http.DefaultClient.Do(req) // to the loopback
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

func answered(status int, body string) (Page, error) {
	if status != http.StatusOK {
		return Page{}, fmt.Errorf("status %d: %s", status, body)
	}
	return Parse(body)
}

// Value returns a sample's value.
func (p Page) Value(series string) (float64, bool) {
	v, err := strconv.ParseFloat(p.Samples[series], 64)
	return v, err == nil
}

// Sum adds up the series of a family that have all these labels, each given as
// name=value: the values of counters and gauges, the counts of the others.
func (p Page) Sum(family string, labels ...string) float64 {
	sum := 0.0
	for _, m := range p.families[family].GetMetric() {
		if has := labelTexts(m); !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() +
				float64(m.GetHistogram().GetSampleCount()) + float64(m.GetSummary().GetSampleCount())
		}
	}
	return sum
}

// Labels lists the labels of each series of a family, as name=value.
func (p Page) Labels(family string) (all [][]string) {
	for _, m := range p.families[family].GetMetric() {
		all = append(all, labelTexts(m))
	}
	return all
}

func labelTexts(m *dto.Metric) (texts []string) {
	for _, l := range m.GetLabel() {
		texts = append(texts, l.GetName()+"="+l.GetValue())
	}
	return texts
}

// Has returns an error unless the page shows these series with these values, given as series,
// value, series, value and so on.
func (p Page) Has(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		switch got, ok := p.Samples[pairs[i]]; {
		case !ok:
			return fmt.Errorf("no series %s; of this metric there are %q", pairs[i], p.Of(familyOf(pairs[i])))
		case got != pairs[i+1]:
			return fmt.Errorf("%s is %s, want %s", pairs[i], got, pairs[i+1])
		}
	}
	return nil
}

// Want fails the test for each series that [Page.Has] has an error for.
func (p Page) Want(t testing.TB, pairs ...string) {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		Check(t, p.Has(pair...))
	}
}

// Of lists the lines of all samples whose name begins with prefix.
func (p Page) Of(prefix string) (lines []string) {
	for series, value := range p.Samples {
		if strings.HasPrefix(familyOf(series), prefix) {
			lines = append(lines, series+" "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// Lacks returns an error if the page shows a sample whose name begins with one of the prefixes.
func (p Page) Lacks(prefixes ...string) error {
	for _, prefix := range prefixes {
		if lines := p.Of(prefix); len(lines) > 0 {
			return fmt.Errorf("the page still shows %q", lines)
		}
	}
	return nil
}

// WantNone fails the test if the page shows a sample whose name begins with one of the prefixes.
func (p Page) WantNone(t testing.TB, prefixes ...string) {
	t.Helper()
	Check(t, p.Lacks(prefixes...))
}

// WantSamples fails the test unless the page shows n samples whose name begins with prefix.
func (p Page) WantSamples(t testing.TB, prefix string, n int) {
	t.Helper()
	if lines := p.Of(prefix); len(lines) != n {
		t.Errorf("the page shows %d samples, want %d: %.4000q", len(lines), n, lines)
	}
}

// Users returns the page without shoal's own metrics, whose values differ between scrapes.
func (p Page) Users() string { return WithoutShoal(p.Text) }

// WithoutShoal returns a page without shoal's own metrics.
func WithoutShoal(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		rest := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(rest, "shoal_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Valid fails the test if promtool reports an error in the page.
func (p Page) Valid(t testing.TB) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install Prometheus (Debian: apt-get install prometheus), or run scripts/packages.sh as root")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(p.Text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s\n%s", err, out, p.Users())
	}
}

func familyOf(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}
