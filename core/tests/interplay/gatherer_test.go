// SPDX-License-Identifier: Apache-2.0

package interplay_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

var _ prometheus.Gatherer = (*shoal.Registry)(nil)

func TestGatherer_ComparesAndCountsWithTestutil(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	testkit.Check(t, testutil.GatherAndCompare(reg, strings.NewReader(shopPage), shopNames...))
	if n, err := testutil.GatherAndCount(reg, shopNames...); err != nil || n != 4 {
		t.Errorf("GatherAndCount gives %d, %v; want 4", n, err)
	}
	problems, err := testutil.GatherAndLint(reg)
	testkit.Must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// get asks a handler for its page.
func get(t *testing.T, h http.Handler, accept string) (status int, body string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// promhttp serves a shoal registry in every format, with the same page as the registry's own
// handler.
func TestGatherer_PromhttpServesTheSamePage(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	theirs := promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: prometheus.NewRegistry(), EnableOpenMetrics: true})
	ours := reg.Handler(shoal.HandlerOpts{EnableOpenMetrics: true})
	for name, accept := range map[string]string{
		"none": "", "text": "text/plain;version=0.0.4",
		"openmetrics": "application/openmetrics-text;version=1.0.0",
	} {
		t.Run(name, func(t *testing.T) {
			_, want := get(t, theirs, accept)
			status, got := get(t, ours, accept)
			users := testkit.WithoutShoal(got)
			if want = testkit.WithoutShoal(want); status != http.StatusOK || users != want || name != "openmetrics" && users != shopPage {
				t.Errorf("status %d; the page is\n%swant\n%s", status, users, want)
			}
			if name == "openmetrics" && !strings.Contains(got, `took_seconds_bucket{le="1.0"} 0`) {
				t.Errorf("this is not OpenMetrics:\n%s", got)
			}
		})
	}
}

func TestGatherer_PromhttpSaysThatRedisIsAway(t *testing.T) {
	reg := shoal.New()
	shopUnconnected := reg.NewCounter(shoal.CounterOpts{Name: "orders_total"})
	shopUnconnected.Inc()
	status, body := get(t, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), "")
	if status != http.StatusInternalServerError || !strings.Contains(body, strings.TrimPrefix(shoal.ErrNotConnected.Error(), "shoal: ")) {
		t.Errorf("status %d: %s", status, body)
	}
}

// client_golang's collectors of one process (memory, goroutines) have a page of their own,
// beside the page of all processes.
func TestProcess_CollectorsOfOneProcessHaveTheirOwnPage(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	own := prometheus.NewRegistry()
	own.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", reg.Handler(shoal.HandlerOpts{}))
	mux.Handle("GET /metrics/process", promhttp.HandlerFor(own, promhttp.HandlerOpts{}))
	page := func(path string) string {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec.Body.String()
	}
	fleet, process := page("/metrics"), page("/metrics/process")
	if users := testkit.WithoutShoal(fleet); users != shopPage {
		t.Errorf("the fleet's page is\n%s", users)
	}
	if !strings.Contains(process, "\ngo_goroutines ") || strings.Contains(process, "orders_total") {
		t.Errorf("the process's page is\n%s", process)
	}
}

// client_golang can join both on one page.
func TestGatherer_JoinsWithOthers(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "local_value", Help: "Local."}, func() float64 { return 4 }))
	want := "# HELP local_value Local.\n# TYPE local_value gauge\nlocal_value 4\n" + shopPage
	testkit.Check(t, testutil.GatherAndCompare(prometheus.Gatherers{own, reg}, strings.NewReader(want), append(shopNames, "local_value")...))
}

// Gather returns the same twice, also after the caller changed the first result, as
// prometheus.Gatherers does when it merges and sorts.
func TestGatherer_ResultsOutliveEachOther(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	first, err := reg.Gather()
	testkit.Must(t, err)
	for range 3 {
		testkit.Must(t, testutil.GatherAndCompare(prometheus.Gatherers{reg}, strings.NewReader(shopPage), shopNames...))
	}
	var names []string
	for _, f := range first {
		if !strings.HasPrefix(f.GetName(), "shoal_") {
			names = append(names, f.GetName())
		}
	}
	if got, want := strings.Join(names, " "), strings.Join(shopNames, " "); got != want {
		t.Errorf("the families are %s, want %s", got, want)
	}
}
