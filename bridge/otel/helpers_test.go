// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(handle))
	goleak.VerifyTestMain(m)
}

// bare leaves out what most tests don't look at.
var bare = Opts{WithoutScopeInfo: true, WithoutTargetInfo: true}

func translatorOf(t *testing.T, o Opts) *translator {
	t.Helper()
	tr, err := newTranslator(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// collection is what one scope of a program without a resource gives.
func collection(metrics ...metricdata.Metrics) *metricdata.ResourceMetrics {
	return &metricdata.ResourceMetrics{
		Resource: resource.Empty(),
		ScopeMetrics: []metricdata.ScopeMetrics{{
			Scope: instrumentation.Scope{Name: "scope"}, Metrics: metrics,
		}},
	}
}

func counterOf(name string, temporality metricdata.Temporality, points ...metricdata.DataPoint[int64]) metricdata.Metrics {
	return metricdata.Metrics{Name: name, Data: metricdata.Sum[int64]{
		DataPoints: points, Temporality: temporality, IsMonotonic: true,
	}}
}

func gaugeOf(name string, points ...metricdata.DataPoint[float64]) metricdata.Metrics {
	return metricdata.Metrics{Name: name, Data: metricdata.Gauge[float64]{DataPoints: points}}
}

func pointOf[N int64 | float64](v N, attributes ...attribute.KeyValue) metricdata.DataPoint[N] {
	return metricdata.DataPoint[N]{Attributes: attribute.NewSet(attributes...), Value: v, Time: time.Now()}
}

// lines are the series of families, as a page would show them.
func lines(families []*dto.MetricFamily) []string {
	var list []string
	for _, f := range families {
		for _, m := range f.Metric {
			list = append(list, lineOf(f.GetName(), m))
		}
	}
	slices.Sort(list)
	return list
}

func lineOf(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	switch {
	case m.Counter != nil:
		return fmt.Sprint(name, " ", m.Counter.GetValue())
	case m.Gauge != nil:
		return fmt.Sprint(name, " ", m.Gauge.GetValue())
	case m.Summary != nil:
		return fmt.Sprint(name, " count ", m.Summary.GetSampleCount(), " sum ", m.Summary.GetSampleSum())
	}
	line := fmt.Sprint(name, " count ", m.Histogram.GetSampleCount(), " sum ", m.Histogram.GetSampleSum())
	for _, b := range m.Histogram.Bucket {
		line += fmt.Sprint(" ", b.GetUpperBound(), ":", b.GetCumulativeCount())
	}
	return line
}

// wantLines translates and compares the series; there must be no problems.
func wantLines(t *testing.T, tr *translator, rm *metricdata.ResourceMetrics, want ...string) {
	t.Helper()
	families, problems := tr.translate(rm)
	if len(problems) > 0 {
		t.Errorf("problems: %v", errors.Join(problems...))
	}
	sameLines(t, lines(families), want)
}

func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// counterMetric is a counter without labels.
func counterMetric(v float64) *dto.Metric { return &dto.Metric{Counter: &dto.Counter{Value: &v}} }

// handled collects what otel.Handle gets.
var handled struct {
	sync.Mutex
	errs []error // guarded by Mutex
}

func handle(err error) {
	handled.Lock()
	defer handled.Unlock()
	handled.errs = append(handled.errs, err)
}

// handledBy returns what f made otel.Handle get.
func handledBy(f func()) []error {
	handled.Lock()
	before := len(handled.errs)
	handled.Unlock()
	f()
	handled.Lock()
	defer handled.Unlock()
	return slices.Clone(handled.errs[before:])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readerOf returns a provider with a reader to the registry.
func readerOf(t *testing.T, reg *shoal.Registry, o Opts) (*Reader, *sdkmetric.MeterProvider) {
	t.Helper()
	r, err := NewReader(reg, o)
	must(t, err)
	return r, sdkmetric.NewMeterProvider(sdkmetric.WithResource(resource.Empty()), sdkmetric.WithReader(r))
}

func counterIn(t *testing.T, p *sdkmetric.MeterProvider, name string) metric.Int64Counter {
	t.Helper()
	c, err := p.Meter("m").Int64Counter(name)
	must(t, err)
	return c
}

// value is that of a series without labels, as a registry's page shows it; -1 if it does not.
func value(t *testing.T, reg *shoal.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == name && len(f.Metric) == 1 {
			return f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue() + float64(f.Metric[0].GetHistogram().GetSampleCount())
		}
	}
	return -1
}

func wantValue(t *testing.T, reg *shoal.Registry, name string, want float64) {
	t.Helper()
	if got := value(t, reg, name); got != want {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}
