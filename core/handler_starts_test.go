// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// startsIn returns the start of each series but shoal's own, in the milliseconds that
// Prometheus counts in, by the family's name and the value of the label.
func startsIn(families []*dto.MetricFamily) map[string]time.Time {
	starts := map[string]time.Time{}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "shoal_") {
			continue
		}
		for _, m := range family.Metric {
			name := strings.TrimSuffix(family.GetName(), "_total") // OpenMetrics calls the family so
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			var at *timestamppb.Timestamp
			switch {
			case m.Counter != nil:
				at = m.Counter.CreatedTimestamp
			case m.Summary != nil:
				at = m.Summary.CreatedTimestamp
			case m.Histogram != nil:
				at = m.Histogram.CreatedTimestamp
			}
			if at != nil {
				starts[name] = at.AsTime().Round(time.Millisecond)
			}
		}
	}
	return starts
}

func TestHandler_TellsWhenSeriesBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		orders := r.NewCounterVec(CounterOpts{Name: "orders_total"}, []string{"kind"})
		odd := r.NewCounter(CounterOpts{Name: "odd"})
		seconds := r.NewHistogramVec(HistogramOpts{Name: "seconds", Buckets: []float64{1}}, []string{"kind"})
		sizes := r.NewSummary(SummaryOpts{Name: "sizes"})
		r.NewGauge(GaugeOpts{Name: "length"}).Set(1)
		r.NewGauge(GaugeOpts{Name: "carts", Mode: Total}).Inc()
		want := map[string]time.Time{"odd": time.Now(), "sizes": time.Now()} // they exist as soon as they are declared
		elapse(10 * time.Second)
		odd.Inc()
		sizes.Observe(1)
		for _, kind := range []string{"a", "b"} {
			elapse(1500 * time.Millisecond)
			orders.WithLabelValues(kind).Inc()
			seconds.WithLabelValues(kind).Observe(2)
			want["orders "+kind], want["seconds "+kind] = time.Now(), time.Now()
		}
		elapse(time.Minute)
		gathered, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		inOpenMetrics := maps.Clone(want)
		delete(inOpenMetrics, "odd") // not a counter there
		if got := startsIn(gathered); !maps.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("Gather tells %v, want %v", got, want)
		}
		for _, tt := range []struct {
			name   string
			accept string
			opts   HandlerOpts
			want   map[string]time.Time
		}{
			{"text", "text/plain", HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}, nil},
			{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", HandlerOpts{}, want},
			{"OpenMetrics", "application/openmetrics-text;version=1.0.0", HandlerOpts{EnableOpenMetrics: true}, nil},
			{"OpenMetrics that is not enabled", "application/openmetrics-text;version=1.0.0", HandlerOpts{EnableOpenMetricsTextCreatedSamples: true}, nil},
			{"OpenMetrics with starts", "application/openmetrics-text;version=1.0.0", HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}, inOpenMetrics},
		} {
			for _, h := range []*Registry{r, readOnly(t, server)} {
				w := ask(h.Handler(tt.opts), "GET", accept(tt.accept))
				decoder := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
				var families []*dto.MetricFamily
				for {
					family := new(dto.MetricFamily)
					err := decoder.Decode(family)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					families = append(families, family)
				}
				if len(families) < 6 {
					t.Errorf("%s: %d families", tt.name, len(families))
				}
				if got := startsIn(families); !maps.EqualFunc(got, tt.want, time.Time.Equal) {
					t.Errorf("%s tells %v, want %v", tt.name, got, tt.want)
				}
			}
		}
	})
}
