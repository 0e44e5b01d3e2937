// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	reason  string             // of a 503
	samples map[string]float64 // of a 200, by name{labels}
	took    time.Duration
}

func (p *page) has(series string) bool {
	_, ok := p.samples[series]
	return ok
}

// formats are what a scraper may ask for.
var formats = []expfmt.Format{expfmt.FmtText, expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0}

// read asks for a page, as a scraper does that waits for so long. The error says what is
// wrong with the answer; that there is none to be had is no error.
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

// plain returns an error unless a text may stand in a log or an answer: not empty, one
// line, printable, bounded.
func plain(text string) error {
	switch {
	case text == "":
		return errors.New("no word")
	case len(text) > maxLine:
		return fmt.Errorf("%d bytes long", len(text))
	case !utf8.ValidString(text):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("not printable, or not one line")
	}
	return nil
}

// maxLine bounds what is said of one trouble.
const maxLine = 2 << 10

var unknownType = regexp.MustCompile(`(?m)^(# TYPE \S+) unknown$`)

// parse reads a page strictly: as Prometheus does, and no series twice.
func parse(body []byte, format expfmt.Format) (map[string]float64, error) {
	if format.FormatType() == expfmt.TypeProtoDelim {
		decoder := expfmt.NewDecoder(bytes.NewReader(body), format)
		var text bytes.Buffer
		for {
			var family dto.MetricFamily
			if err := decoder.Decode(&family); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			if _, err := expfmt.MetricFamilyToText(&text, &family); err != nil {
				return nil, err
			}
		}
		body = text.Bytes()
	}
	if format.FormatType() == expfmt.TypeOpenMetrics {
		rest, ok := bytes.CutSuffix(body, []byte("# EOF\n"))
		if !ok {
			return nil, errors.New("the page does not end with # EOF")
		}
		// The rest is of the same grammar, but for names of counters in their TYPE, and
		// for the type of a counter whose name does not end in _total.
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
	for _, f := range families {
		for _, m := range f.Metric {
			if err := ascends(m.GetHistogram()); err != nil {
				return nil, fmt.Errorf("%s%.300v: %w", f.GetName(), m.Label, err)
			}
		}
	}
	return samplesOf(string(body))
}

// ascends checks that the buckets of a histogram do, and end with its count.
func ascends(h *dto.Histogram) error {
	last, bound := uint64(0), 0.0
	for i, b := range h.GetBucket() {
		if b.GetCumulativeCount() < last || i > 0 && b.GetUpperBound() <= bound {
			return fmt.Errorf("the bucket le=%v has %d, the one below, le=%v, %d", b.GetUpperBound(), b.GetCumulativeCount(), bound, last)
		}
		last, bound = b.GetCumulativeCount(), b.GetUpperBound()
	}
	if len(h.GetBucket()) > 0 && last != h.GetSampleCount() {
		return fmt.Errorf("the last bucket has %d, the count is %d", last, h.GetSampleCount())
	}
	return nil
}

func samplesOf(body string) (map[string]float64, error) {
	samples := map[string]float64{}
	types := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if types[name] {
				return nil, fmt.Errorf("the family %.100q is there twice", name)
			}
			types[name] = true
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			return nil, fmt.Errorf("the line %.100q has no value", line)
		}
		series := line[:at]
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the line %.200q: %w", line, err)
		}
		if _, twice := samples[series]; twice {
			return nil, fmt.Errorf("the series %.200q is there twice", series)
		}
		samples[series] = value
	}
	return samples, nil
}
