// SPDX-License-Identifier: Apache-2.0

package interplay_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	shoal "github.com/shoal-metrics/shoal/core"
)

var _ prometheus.Gatherer = (*shoal.Registry)(nil)

func TestGatherer_ComparesAndCountsWithTestutil(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(shopPage), shopNames...); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, shopNames...); err != nil || n != 4 {
		t.Errorf("GatherAndCount gives %d, %v; want 4", n, err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// get asks a handler for its page.
func get(t *testing.T, h http.Handler, header http.Header) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	server.Client().CloseIdleConnections()
	return resp, string(body)
}

// withoutShoal drops shoal's own metrics, whose values differ between scrapes.
func withoutShoal(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		rest := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(rest, "shoal_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// promhttp serves the registry as it serves its own, in every format, and the
// registry's own handler answers the same.
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
			header := http.Header{"Accept": {accept}}
			_, want := get(t, theirs, header)
			resp, got := get(t, ours, header)
			if resp.StatusCode != http.StatusOK || withoutShoal(got) != withoutShoal(want) {
				t.Errorf("status %d; the page is\n%swant\n%s", resp.StatusCode, withoutShoal(got), withoutShoal(want))
			}
			if name != "openmetrics" && withoutShoal(got) != shopPage {
				t.Errorf("the page is\n%swant\n%s", withoutShoal(got), shopPage)
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
	resp, body := get(t, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), nil)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(body, shoal.ErrNotConnected.Error()) {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
}

// What client_golang knows of one process, memory and goroutines, is that
// process's own: it has a page of its own beside the fleet's.
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
	server := httptest.NewServer(mux)
	defer server.Close()
	page := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, resp.StatusCode, err)
		}
		return string(body)
	}
	fleet, process := page("/metrics"), page("/metrics/process")
	if withoutShoal(fleet) != shopPage {
		t.Errorf("the fleet's page is\n%s", withoutShoal(fleet))
	}
	if !strings.Contains(process, "\ngo_goroutines ") || strings.Contains(process, "orders_total") {
		t.Errorf("the process's page is\n%s", process)
	}
}

// Where somebody wants both on one page, client_golang joins them.
func TestGatherer_JoinsWithOthers(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "local_value", Help: "Local."}, func() float64 { return 4 }))
	want := "# HELP local_value Local.\n# TYPE local_value gauge\nlocal_value 4\n" + shopPage
	if err := testutil.GatherAndCompare(prometheus.Gatherers{own, reg}, strings.NewReader(want), append(shopNames, "local_value")...); err != nil {
		t.Error(err)
	}
}

// Gathering twice gives the same, and what others do with the first result
// (prometheus.Gatherers merges and sorts) does not harm the second.
func TestGatherer_ResultsOutliveEachOther(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	first, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := testutil.GatherAndCompare(prometheus.Gatherers{reg}, strings.NewReader(shopPage), shopNames...); err != nil {
			t.Fatal(err)
		}
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
