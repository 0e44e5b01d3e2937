// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestPage_OldAndNewLabelNamesLiveSideBySide(t *testing.T) {
	server := memstore.New()
	a, b := process(t, server, Opts{}), process(t, server, Opts{})
	a.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"code"}).WithLabelValues("200").Inc()
	b.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"code", "method"}).WithLabelValues("200", "GET").Inc()
	flush(t, a)
	flush(t, b)
	stored(t, server).want(t, samples{`c_total{code="200"}`: 1, `c_total{code="200",method="GET"}`: 1})
}

func TestPage_ReadsTheSameWhicheverProcessAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		three(orders(a))
		a.NewHistogram(HistogramOpts{Name: "only_a", Buckets: []float64{1}}).Observe(3)
		b.NewSummary(SummaryOpts{Name: "only_b"}).Observe(4)
		gaugeIn(a).Set(1)
		gaugeIn(b).Set(2)
		flush(t, a)
		flush(t, b)
		want := stored(t, server)
		if len(want) < 8 {
			t.Errorf("the page has only %v", want)
		}
		for _, r := range []*Registry{a, b, readOnly(t, server)} {
			page := scrape(t, r)
			page.want(t, want)
			want.want(t, page)
		}
	})
}

// What a page omits is counted each time, and reported once a minute: once for values and
// once for families.
func TestPage_WhatItOmitsIsCountedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, heard := memstore.New(), new(troubles)
		w := process(t, server, Opts{})
		for _, name := range []string{"a_total", "b_total", "lost_total"} {
			w.NewCounter(CounterOpts{Name: name}).Inc()
		}
		flush(t, w)
		kill(t, w)
		server.SetText("shop", "a_total", "n\xff1", "junk")
		server.SetText("shop", "b_total", "n\xff1", "junk")
		server.SetText("shop", "b_total", "gauge_index\xff1", "1")
		server.LoseValues("shop", "lost_total")
		r := process(t, server, Opts{ReadOnly: true, OnError: heard.add})
		for range 2 {
			scrape(t, r).want(t, samples{"a_total": 1, "b_total": 1})
		}
		// Two values in each scrape, and one label, which the second scrape remembers.
		if n := selfValue(r, "shoal_corrupt_values_total"); n != 5 {
			t.Errorf("%v values counted", n)
		}
		if n := selfValue(r, "shoal_omitted_families_total"); n != 2 {
			t.Errorf("%v families counted", n)
		}
		for _, text := range []string{"omitted from the page: 3 (b_total, a_total)", "omitted from the page: 1 (lost_total); the first, of lost_total: "} {
			if n := heard.count(text); n != 1 {
				t.Errorf("%d reports of %q: %v", n, text, heard.all())
			}
		}
		if n := len(heard.all()); n != 2 {
			t.Errorf("%d reports: %v", n, heard.all())
		}
	})
}

// A name that nobody writes under is most likely misspelt.
func TestPage_SaysThatNothingBelongsToTheApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := new(troubles)
		exporter := process(t, memstore.New(), Opts{App: "shpo", ReadOnly: true, OnError: heard.add})
		h := exporter.Handler(HandlerOpts{EnableOpenMetrics: true})
		for minute := 1; minute <= 2; minute++ {
			body := get(t, h, nil)
			if !strings.HasPrefix(body, "# shoal: Redis has no metric and no living process of the app \"shpo\": is that its name?\n") {
				t.Errorf("the page begins with %q", body)
			}
			parsePage(t, body)
			for _, format := range []string{"application/openmetrics-text;version=1.0.0", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
				if body := get(t, h, http.Header{"Accept": {format}}); strings.Contains(body, "is that its name") {
					t.Errorf("%s has no comments: %q", format, body)
				}
			}
			if n := heard.count(`of the app "shpo"`); n != minute {
				t.Errorf("heard %v", heard.all())
			}
			elapse(time.Minute)
		}
	})
}
