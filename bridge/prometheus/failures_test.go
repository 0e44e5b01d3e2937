// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// flaky is a gatherer that does what its test says.
type flaky struct {
	prometheus.Gatherer
	do func(g prometheus.Gatherer) ([]*dto.MetricFamily, error)
}

func (f *flaky) Gather() ([]*dto.MetricFamily, error) { return f.do(f.Gatherer) }

func whole(g prometheus.Gatherer) ([]*dto.MetricFamily, error) { return g.Gather() }

func TestBridge_APartialFailureImportsTheRestAndDeletesNothing(t *testing.T) {
	counted := prometheus.NewRegistry()
	auto := promauto.With(counted)
	f := &flaky{counted, whole}
	p := startWith(t, shoaltest.NewServer(), f, shoalprom.Opts{})
	a, b := auto.NewCounter(prometheus.CounterOpts{Name: "a_total"}), auto.NewGauge(prometheus.GaugeOpts{Name: "b"})
	a.Add(1)
	b.Set(5)
	p.wants("a_total 1\nb{gauge_index=\"0\"} 5\n")
	a.Add(1)
	f.do = func(g prometheus.Gatherer) ([]*dto.MetricFamily, error) {
		families, _ := g.Gather()
		return families[:1], errors.New("the second collector failed")
	}
	p.wants("a_total 2\nb{gauge_index=\"0\"} 5\n")
	if got := p.reports(); !strings.Contains(got, "the second collector failed") {
		t.Errorf("reported is %q", got)
	}
	f.do = func(g prometheus.Gatherer) ([]*dto.MetricFamily, error) {
		families, _ := g.Gather()
		return families[:1], nil
	}
	p.wants("a_total 2\n")
}

// A client_golang sum that was NaN once is NaN for ever.
func TestBridge_WhatIsNoNumberSpoilsNoTotal(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	auto := promauto.With(p.counted)
	c := auto.NewCounter(prometheus.CounterOpts{Name: "c_total"})
	s := auto.NewSummary(prometheus.SummaryOpts{Name: "s"})
	g := auto.NewGauge(prometheus.GaugeOpts{Name: "g"})
	for _, v := range []float64{2, math.Inf(1), math.NaN(), 2} {
		c.Add(v)
		s.Observe(v)
		g.Set(math.NaN())
		p.flush()
	}
	p.wants("c_total 2\ng{gauge_index=\"0\"} NaN\ns_sum 2\ns_count 4\n")
}

func TestBridge_AGathererThatPanicsHarmsNobody(t *testing.T) {
	counted := prometheus.NewRegistry()
	c := promauto.With(counted).NewCounter(prometheus.CounterOpts{Name: "c_total"})
	f := &flaky{counted, whole}
	p := startWith(t, shoaltest.NewServer(), f, shoalprom.Opts{})
	own := p.shown.NewCounter(shoal.CounterOpts{Name: "own_total"})
	c.Inc()
	own.Inc()
	p.wants("c_total 1\nown_total 1\n")
	f.do = func(prometheus.Gatherer) ([]*dto.MetricFamily, error) { panic("no rows") }
	c.Inc()
	own.Inc()
	p.wants("c_total 1\nown_total 2\n")
	if got := p.reports(); !strings.Contains(got, "no rows") || !strings.Contains(got, "shoalprom") {
		t.Errorf("reported is %q", got)
	}
	f.do = whole
	p.wants("c_total 2\nown_total 2\n")
}

func TestBridge_AGathererThatHangsHarmsNobody(t *testing.T) {
	counted := prometheus.NewRegistry()
	c := promauto.With(counted).NewCounter(prometheus.CounterOpts{Name: "c_total"})
	goOn := make(chan struct{})
	f := &flaky{counted, func(g prometheus.Gatherer) ([]*dto.MetricFamily, error) {
		<-goOn
		return g.Gather()
	}}
	p := startWith(t, shoaltest.NewServer(), f, shoalprom.Opts{})
	own := p.shown.NewCounter(shoal.CounterOpts{Name: "own_total"})
	c.Inc()
	own.Inc()
	p.wants("own_total 1\n")
	close(goOn)
	deadline := time.Now().Add(20 * time.Second)
	for p.page() != "c_total 1\nown_total 1\n" {
		if time.Now().After(deadline) {
			t.Fatalf("the page is\n%s", p.page())
		}
	}
}

// A scrape of the process's own promhttp page reads the same registry at the same time.
func TestBridge_PromhttpServesTheSameRegistryMeanwhile(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{Prefix: "all_", Period: time.Millisecond})
	auto := promauto.With(p.counted)
	c := auto.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, []string{"worker"})
	h := auto.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	own := httptest.NewServer(promhttp.HandlerFor(p.counted, promhttp.HandlerOpts{}))
	defer own.Close()
	const workers, each = 4, 2000
	var counting, scraping sync.WaitGroup
	done := make(chan struct{})
	for w := range workers {
		counting.Go(func() {
			c := c.WithLabelValues(fmt.Sprint(w))
			for range each {
				c.Inc()
				h.Observe(.01)
			}
		})
	}
	scraping.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = scrape(t, own.URL)
				_, _ = p.shown.Gather()
			}
		}
	})
	counting.Wait()
	close(done)
	scraping.Wait()
	for w := range workers {
		if got := shoaltest.Value(t, p.shown, "all_c_total", "worker", fmt.Sprint(w)); got != each {
			t.Errorf("worker %d: %v, want %d", w, got, each)
		}
	}
	if got := shoaltest.Value(t, p.shown, "all_h"); got != workers*each {
		t.Errorf("observed are %v, want %d", got, workers*each)
	}
	if page := scrape(t, own.URL); page["c_total"] == nil || len(page) != 2 {
		t.Errorf("the process's own page has %v", page)
	}
}

func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	res, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _, _ = io.Copy(io.Discard, res.Body); _ = res.Body.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Error(err)
	}
	return families
}
