// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	shoal "github.com/shoal-metrics/shoal/core"
)

// page is an answer of /metrics.
type page struct {
	status  int
	reason  string  // of a 503
	samples samples // of a 200
	took    time.Duration
}

func (p *page) has(series string) bool {
	_, ok := p.samples[series]
	return ok
}

// formats are what a scraper may ask for.
var formats = []expfmt.Format{expfmt.FmtText, expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0}

// read scrapes a page with this timeout. The error says what is wrong with the answer; a 503
// is no error.
func read(reg *shoal.Registry, format expfmt.Format, patience time.Duration) (*page, error) {
	req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", string(format))
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(patience.Seconds(), 'f', -1, 64))
	rec := httptest.NewRecorder()
	begin := time.Now()
	reg.Handler(shoal.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true}).ServeHTTP(rec, req)
	p := &page{status: rec.Code, took: time.Since(begin)}
	switch rec.Code {
	case http.StatusOK:
		if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, string(format)) {
			return p, fmt.Errorf("the page is %q, asked for %q", got, format)
		}
		var err error
		if p.samples, err = parse(rec.Body.Bytes(), format); err != nil {
			return p, fmt.Errorf("%.40s: %w", format, err)
		}
		return p, nil
	case http.StatusServiceUnavailable:
		p.reason = strings.TrimSuffix(rec.Body.String(), "\n")
		if err := plain(p.reason); err != nil {
			return p, fmt.Errorf("a 503 has the body %.300q: %w", p.reason, err)
		}
		return p, nil
	}
	return p, fmt.Errorf("the page is a %d: %.300q", rec.Code, rec.Body)
}

// plain returns an error unless a text is fit for a log or an answer: not empty, one
// line, printable, bounded.
func plain(text string) error {
	switch {
	case text == "":
		return errors.New("empty")
	case len(text) > maxLine:
		return fmt.Errorf("%d bytes long", len(text))
	case !utf8.ValidString(text):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("not printable, or not one line")
	}
	return nil
}

// maxLine is the most bytes of one report.
const maxLine = 2 << 10

var unknownType = regexp.MustCompile(`(?m)^(# TYPE \S+) unknown$`)

// parse reads a page as Prometheus does, and refuses a page that has a series twice.
func parse(body []byte, format expfmt.Format) (samples, error) {
	switch format.FormatType() {
	case expfmt.TypeProtoDelim:
		var text bytes.Buffer
		for decoder := expfmt.NewDecoder(bytes.NewReader(body), format); ; {
			var family dto.MetricFamily
			err := decoder.Decode(&family)
			if err == nil {
				_, err = expfmt.MetricFamilyToText(&text, &family)
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
		}
		body = text.Bytes()
	case expfmt.TypeOpenMetrics:
		rest, ok := bytes.CutSuffix(body, []byte("# EOF\n"))
		if !ok {
			return nil, errors.New("the page does not end with # EOF")
		}
		// Apart from # EOF, OpenMetrics differs from the text format in the names of counters in
		// TYPE lines, and in the type of a counter whose name does not end in _total.
		body = unknownType.ReplaceAll(rest, []byte("$1 untyped"))
	}
	if !utf8.Valid(body) {
		return nil, errors.New("the page is not UTF-8")
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w in a page of %d bytes", err, len(body))
	}
	s := samples{}
	for _, f := range families {
		for _, m := range f.Metric {
			if err := s.add(f.GetName(), m); err != nil {
				return nil, fmt.Errorf("%s%.300v: %w", f.GetName(), m.Label, err)
			}
		}
	}
	return s, nil
}

// samples are values by name{labels}, as the text format writes them.
type samples map[string]float64

// add adds the samples of a metric. None may be there twice; buckets must ascend, and the last one
// must be the count.
func (s samples) add(name string, m *dto.Metric) error {
	var labels, twice string
	for _, l := range m.Label {
		labels += fmt.Sprintf(",%s=%q", l.GetName(), l.GetValue())
	}
	set := func(suffix, more string, v float64) {
		series := name + suffix
		if all := strings.TrimPrefix(labels+more, ","); all != "" {
			series += "{" + all + "}"
		}
		if _, ok := s[series]; ok {
			twice = series
		}
		s[series] = v
	}
	switch h := m.Histogram; {
	case m.Counter != nil:
		set("", "", m.Counter.GetValue())
	case m.Gauge != nil:
		set("", "", m.Gauge.GetValue())
	case m.Untyped != nil:
		set("", "", m.Untyped.GetValue())
	case m.Summary != nil:
		set("_sum", "", m.Summary.GetSampleSum())
		set("_count", "", float64(m.Summary.GetSampleCount()))
	case h != nil:
		set("_sum", "", h.GetSampleSum())
		set("_count", "", float64(h.GetSampleCount()))
		last, bound := uint64(0), math.Inf(-1)
		for _, b := range h.Bucket {
			if b.GetCumulativeCount() < last || b.GetUpperBound() <= bound {
				return fmt.Errorf("the bucket le=%v has %d, the one below, le=%v, %d", b.GetUpperBound(), b.GetCumulativeCount(), bound, last)
			}
			last, bound = b.GetCumulativeCount(), b.GetUpperBound()
			set("_bucket", fmt.Sprintf(",le=\"%g\"", bound), float64(last))
		}
		if len(h.Bucket) > 0 && last != h.GetSampleCount() {
			return fmt.Errorf("the last bucket has %d, the count is %d", last, h.GetSampleCount())
		}
	}
	if twice != "" {
		return fmt.Errorf("%.200q is there twice", twice)
	}
	return nil
}
