// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	shoal "github.com/shoal-metrics/shoal/core"
)

// bridged returns the source of a bridge.
func bridged(t *testing.T, from prometheus.Gatherer, o Opts) *source {
	t.Helper()
	s, err := newSource(shoal.New(), from, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collect returns what is imported, as text without help.
func collect(t *testing.T, s *source) (text string, err error) {
	t.Helper()
	families, err := s.Collect(t.Context())
	return textOf(t, families), err
}

func textOf(t *testing.T, families []*dto.MetricFamily) string {
	t.Helper()
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "# HELP") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// always is a gatherer that always gives the same.
func always(families ...*dto.MetricFamily) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
}

// shop returns a registry with a metric of each type.
func shop() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "orders_total"}, []string{"currency"})
	orders.WithLabelValues("EUR").Add(3)
	orders.WithLabelValues("USD").Add(1)
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 2}})
	took.Observe(1.5)
	size := prometheus.NewSummary(prometheus.SummaryOpts{Name: "size_bytes", Objectives: map[float64]float64{.5: .05, .99: .001}})
	size.Observe(7)
	depth := prometheus.NewGauge(prometheus.GaugeOpts{Name: "depth"})
	depth.Set(11.5)
	plain := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "plain"}, func() float64 { return 4 })
	reg.MustRegister(orders, took, size, depth, plain)
	return reg
}

func TestCollect_CopiesNothingThatStaysAsItIs(t *testing.T) {
	given, err := shop().Gather()
	if err != nil {
		t.Fatal(err)
	}
	families, err := bridged(t, always(given...), Opts{Modes: map[string]shoal.Mode{"depth": shoal.Max, "o*": shoal.Sum}}).Collect(t.Context())
	if err != nil || len(families) != len(given) {
		t.Fatalf("%d families of %d, %v", len(families), len(given), err)
	}
	for i, f := range families {
		if f != given[i] {
			t.Errorf("%s is a copy", f.GetName())
		}
	}
}

func TestCollect_ChangesNothingThatGatherGave(t *testing.T) {
	reg := shop()
	reg.MustRegister(utf8Metric())
	given, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	// A label list with room, into which an append would write.
	for _, f := range given {
		for _, m := range f.Metric {
			m.Label = append(make([]*dto.LabelPair, 0, 8), m.Label...)
		}
	}
	before := make([]string, len(given))
	for i, f := range given {
		before[i] = f.String()
	}
	s := bridged(t, always(given...), Opts{
		Prefix: "shop_", Quantiles: true, Modes: map[string]shoal.Mode{"orders_total": shoal.Latest},
	})
	got, err := collect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range given {
		if f.String() != before[i] {
			t.Errorf("%s was changed", f.GetName())
		}
		for _, m := range f.Metric {
			if room := m.Label[:cap(m.Label)]; room[len(m.Label)] != nil {
				t.Errorf("something was written behind the labels of %s", f.GetName())
			}
		}
	}
	want := `# TYPE shop_depth gauge
shop_depth 11.5
# TYPE shop_http_requests counter
shop_http_requests{http_method="GET"} 1
# TYPE shop_orders_total gauge
shop_orders_total{currency="EUR"} 3
shop_orders_total{currency="USD"} 1
# TYPE shop_plain untyped
shop_plain 4
# TYPE shop_size_bytes summary
shop_size_bytes{quantile="0.5"} 7
shop_size_bytes{quantile="0.99"} 7
shop_size_bytes_sum 7
shop_size_bytes_count 1
# TYPE shop_size_bytes_quantile gauge
shop_size_bytes_quantile{quantile="0.5"} 7
shop_size_bytes_quantile{quantile="0.99"} 7
# TYPE shop_took_seconds histogram
shop_took_seconds_bucket{le="1"} 0
shop_took_seconds_bucket{le="2"} 1
shop_took_seconds_bucket{le="+Inf"} 1
shop_took_seconds_sum 1.5
shop_took_seconds_count 1
`
	if got != want {
		t.Errorf("imported:\n%swant\n%s", got, want)
	}
}

// utf8Metric returns a counter whose names only newer scrapers know.
func utf8Metric() prometheus.Collector {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http.requests"}, []string{"http.method"})
	c.WithLabelValues("GET").Inc()
	return c
}

// The bridge gives a name in UTF-8 as promhttp gives it to a scraper that knows only classic names.
func TestCollect_EscapesNamesAsPromhttpDoes(t *testing.T) {
	for name, want := range map[string]string{
		"http.requests": "http_requests", "größe": "gr__e", "1st": "_st", "a b/c": "a_b_c", "job:rate": "job:rate", "漢字": "__",
	} {
		c := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"plain", name})
		c.WithLabelValues("v", name).Set(1)
		c.WithLabelValues("w", name).Set(2)
		reg := prometheus.NewRegistry()
		reg.MustRegister(c)
		families, err := bridged(t, reg, Opts{}).Collect(t.Context())
		if err != nil || len(families) != 1 {
			t.Fatal(families, err)
		}
		if got := families[0].GetName(); got != want {
			t.Errorf("the family %q is %q, want %q", name, got, want)
		}
		for _, m := range families[0].Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			// A label may have no colon: there promhttp gives what no scraper understands.
			if label := strings.ReplaceAll(want, ":", "_"); labels[label] != name || labels["plain"] == "" || len(labels) != 2 {
				t.Errorf("the labels %q are %v, want %q", name, labels, label)
			}
		}
	}
}

func TestCollect_ImportsWhatGatherGivesBesideAnError(t *testing.T) {
	failed := errors.New("the database does not answer")
	reg := shop()
	s := bridged(t, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, _ := reg.Gather()
		return families[:1], failed
	}), Opts{})
	if got, err := collect(t, s); !errors.Is(err, failed) || got != "# TYPE depth gauge\ndepth 11.5\n" {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestCollect_LeavesOutQuantilesThatAreNaN(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewSummary(prometheus.SummaryOpts{Name: "size", Objectives: map[float64]float64{.5: .05}}))
	s := bridged(t, reg, Opts{Quantiles: true, Skip: []string{"size"}})
	if got, err := collect(t, s); err != nil || got != "" {
		t.Errorf("%v\n%s", err, got)
	}
	nan := &dto.Summary{Quantile: []*dto.Quantile{{Quantile: new(.5), Value: new(math.NaN())}, nil, {Quantile: new(.9), Value: new(2.)}}}
	odd := &dto.MetricFamily{Name: new("odd"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{nil, {}, {Summary: nan}}}
	s = bridged(t, always(odd), Opts{Quantiles: true, Skip: []string{"odd"}})
	if got, err := collect(t, s); err != nil || got != "# TYPE odd_quantile gauge\nodd_quantile{quantile=\"0\"} 0\nodd_quantile{quantile=\"0.9\"} 2\n" {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestCollect_TakesAnythingWithoutPanicking(t *testing.T) {
	var families []*dto.MetricFamily
	for kind := range dto.MetricType(9) {
		families = append(families, nil, &dto.MetricFamily{}, &dto.MetricFamily{Name: new("")}, &dto.MetricFamily{
			Name: new("x.y" + kind.String()), Type: &kind,
			Metric: []*dto.Metric{nil, {}, {Label: []*dto.LabelPair{nil, {}, {Name: new("a.b")}, {Name: new("\xff")}}}},
		})
	}
	for _, o := range []Opts{{}, {Prefix: "p_", Quantiles: true, Modes: map[string]shoal.Mode{"*": shoal.Latest}}} {
		s := bridged(t, always(families...), o)
		for range 2 {
			if _, err := s.Collect(t.Context()); err != nil && strings.Contains(err.Error(), "panic") {
				t.Error(err)
			}
		}
	}
}
