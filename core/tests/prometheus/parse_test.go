// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// clockError is how far a process may misjudge the time of Redis, on the same machine.
const clockError = 100 * time.Millisecond

// parse reads a page as Prometheus does. It returns the start of each sample but shoal's own,
// in milliseconds, 0 for none.
func parse(t *testing.T, reg *shoal.Registry, opts shoal.HandlerOpts, protocol config.ScrapeProtocol) map[string]int64 {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", config.ScrapeProtocolsHeaders[protocol])
	answer := httptest.NewRecorder()
	reg.Handler(opts).ServeHTTP(answer, req)
	parser, err := textparse.New(answer.Body.Bytes(), answer.Header().Get("Content-Type"), nil, textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	testkit.Must(t, err)
	starts := map[string]int64{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return starts
		}
		testkit.Must(t, err)
		if entry != textparse.EntrySeries {
			continue
		}
		var series labels.Labels
		parser.Series()
		parser.Labels(&series)
		if name := series.String(); !strings.HasPrefix(name, `{__name__="shoal_`) {
			starts[name] = parser.StartTimestamp()
		}
	}
}

func TestParse_PrometheusReadsWhenSeriesBegan(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	began := func(count func()) (from, to int64) {
		from = time.Now().Add(-clockError).UnixMilli()
		count()
		return from, time.Now().Add(clockError).UnixMilli()
	}
	type span struct{ from, to int64 }
	want := map[string]span{}
	note := func(count func(), samples ...string) {
		from, to := began(count)
		for _, name := range samples {
			want[name] = span{from, to}
		}
	}
	errs := counted(reg)
	note(func() { errs.WithLabelValues("/a").Inc() }, `{__name__="errors_total", route="/a"}`)
	note(func() {
		reg.NewHistogram(shoal.HistogramOpts{Name: "seconds", Buckets: []float64{1}}).Observe(.5)
	}, `{__name__="seconds_bucket", le="1.0"}`, `{__name__="seconds_bucket", le="+Inf"}`, `{__name__="seconds_count"}`, `{__name__="seconds_sum"}`)
	note(func() { reg.NewSummary(shoal.SummaryOpts{Name: "sizes"}).Observe(3) }, `{__name__="sizes_count"}`, `{__name__="sizes_sum"}`)
	note(func() { errs.WithLabelValues("/b").Inc() }, `{__name__="errors_total", route="/b"}`)
	reg.NewGauge(shoal.GaugeOpts{Name: "length", Mode: shoal.Max}).Set(1)
	reg.NewGauge(shoal.GaugeOpts{Name: "carts", Mode: shoal.Total}).Inc()
	want[`{__name__="length"}`], want[`{__name__="carts"}`] = span{}, span{}
	// The labels le and quantile, where they mean nothing.
	note(func() {
		reg.NewCounterVec(shoal.CounterOpts{Name: "votes_total"}, []string{"le"}).WithLabelValues("no number").Inc()
	}, `{__name__="votes_total", le="no number"}`)
	note(func() {
		reg.NewHistogramVec(shoal.HistogramOpts{Name: "ranks", Buckets: []float64{1}}, []string{"quantile"}).WithLabelValues("upper").Observe(.5)
	}, `{__name__="ranks_bucket", le="1.0", quantile="upper"}`, `{__name__="ranks_bucket", le="+Inf", quantile="upper"}`,
		`{__name__="ranks_count", quantile="upper"}`, `{__name__="ranks_sum", quantile="upper"}`)
	note(func() {
		reg.NewSummaryVec(shoal.SummaryOpts{Name: "widths"}, []string{"le"}).WithLabelValues("7").Observe(3)
	},
		`{__name__="widths_count", le="7"}`, `{__name__="widths_sum", le="7"}`)
	latency := reg.NewGaugeVec(shoal.GaugeOpts{Name: "latency", Mode: shoal.Max, ConstLabels: shoal.Labels{"le": "x"}}, []string{"quantile"})
	latency.WithLabelValues("0.99").Set(1)
	want[`{__name__="latency", le="x", quantile="0.99"}`] = span{}

	for _, tt := range []struct {
		name     string
		opts     shoal.HandlerOpts
		protocol config.ScrapeProtocol
		none     bool
	}{
		{"protobuf", shoal.HandlerOpts{}, config.PrometheusProto, false},
		{"OpenMetrics with starts", shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}, config.OpenMetricsText1_0_0, false},
		{"OpenMetrics", shoal.HandlerOpts{EnableOpenMetrics: true}, config.OpenMetricsText1_0_0, true},
		{"text", shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}, config.PrometheusText0_0_4, true},
	} {
		got := parse(t, reg, tt.opts, tt.protocol)
		if len(got) != len(want) {
			t.Errorf("%s: %d samples, want %d: %v", tt.name, len(got), len(want), got)
		}
		maps.DeleteFunc(got, func(name string, at int64) bool {
			name = strings.ReplaceAll(name, `le="1"`, `le="1.0"`)
			s, ok := want[name]
			if tt.none {
				s = span{}
			}
			return ok && s.from <= at && at <= s.to
		})
		if len(got) > 0 {
			t.Errorf("%s: the starts %v are not within %v", tt.name, got, want)
		}
	}
}
