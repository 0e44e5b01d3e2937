// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/expfmt"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// process is one process of an application: what client_golang counts in it, and what the page of
// this process shows.
type process struct {
	t       *testing.T
	counted *prometheus.Registry
	shown   *shoal.Registry
	stop    func()

	mu       sync.Mutex
	reported []string // guarded by mu
}

// start starts a process whose client_golang metrics are bridged. Its period is so long that only
// Flush, Close and pages gather.
func start(t *testing.T, server *shoaltest.Server, o shoalprom.Opts) *process {
	t.Helper()
	return startWith(t, server, prometheus.NewRegistry(), o)
}

func startWith(t *testing.T, server *shoaltest.Server, from prometheus.Gatherer, o shoalprom.Opts) *process {
	t.Helper()
	p := &process{t: t}
	p.counted, _ = from.(*prometheus.Registry)
	p.shown = server.New(t, shoal.Opts{OnError: p.report})
	if o.Period == 0 {
		o.Period = time.Hour
	}
	stop, err := shoalprom.Bridge(p.shown, from, o)
	if err != nil {
		t.Fatal(err)
	}
	p.stop = stop
	return p
}

func (p *process) report(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported = append(p.reported, err.Error())
}

// reports returns what was reported since the last call.
func (p *process) reports() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Join(p.reported, "\n")
	p.reported = nil
	return all
}

func (p *process) flush() {
	p.t.Helper()
	if err := p.shown.Flush(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// page returns what the page shows of the application, without help.
func (p *process) page() string {
	p.t.Helper()
	p.flush()
	families, err := p.shown.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "shoal_") {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			p.t.Fatal(err)
		}
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (p *process) wants(page string) {
	p.t.Helper()
	if got := p.page(); got != page {
		p.t.Errorf("the page is\n%swant\n%s", got, page)
	}
}

func TestBridge_EveryTypeIsOnThePageOfAllProcesses(t *testing.T) {
	server := shoaltest.NewServer()
	var last *process
	for i := range 2 {
		p := start(t, server, shoalprom.Opts{
			Skip: []string{"left_*"}, Modes: map[string]shoal.Mode{"depth": shoal.Sum, "db_*": shoal.Latest},
		})
		auto := promauto.With(p.counted)
		n := float64(i + 1)
		auto.NewCounterVec(prometheus.CounterOpts{Name: "orders_total"}, []string{"currency"}).WithLabelValues("EUR").Add(n)
		auto.NewCounter(prometheus.CounterOpts{Name: "db_reads_total"}).Add(40)
		auto.NewCounter(prometheus.CounterOpts{Name: "left_out_total"}).Add(n)
		auto.NewGauge(prometheus.GaugeOpts{Name: "depth"}).Set(n)
		auto.NewGauge(prometheus.GaugeOpts{Name: "own"}).Set(n)
		auto.NewUntypedFunc(prometheus.UntypedOpts{Name: "plain"}, func() float64 { return n })
		h := auto.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 2}})
		h.Observe(n - .5)
		auto.NewSummary(prometheus.SummaryOpts{Name: "size", Objectives: map[float64]float64{.5: .05}}).Observe(n)
		p.flush()
		last = p
	}
	last.wants(`db_reads_total 40
depth 3
orders_total{currency="EUR"} 3
own{gauge_index="0"} 1
own{gauge_index="1"} 2
plain{gauge_index="0"} 1
plain{gauge_index="1"} 2
size_sum 3
size_count 2
took_seconds_bucket{le="1"} 1
took_seconds_bucket{le="2"} 2
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 2
took_seconds_count 2
`)
	if reports := last.reports(); reports != "" {
		t.Error(reports)
	}
}

// Each process reads the same database. One value is shown, also after its process has ended.
func TestBridge_WhatAllProcessesReadIsShownOnce(t *testing.T) {
	server := shoaltest.NewServer()
	rows := prometheus.NewRegistry() // what each process would read
	auto := promauto.With(rows)
	waiting, done := auto.NewGauge(prometheus.GaugeOpts{Name: "db_waiting"}), auto.NewCounter(prometheus.CounterOpts{Name: "db_done_total"})
	waiting.Set(7)
	done.Add(1200)
	o := shoalprom.Opts{Modes: map[string]shoal.Mode{"db_*": shoal.Latest, "db_waiting": shoal.Max}}
	first := startWith(t, server, rows, o)
	first.flush()
	second := startWith(t, server, rows, o)
	second.wants("db_done_total 1200\ndb_waiting 7\n")
	waiting.Set(3)
	done.Add(5)
	first.flush()
	second.wants("db_done_total 1205\ndb_waiting 3\n")
	if err := second.shown.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.wants("db_done_total 1205\ndb_waiting 3\n")
}

func TestBridge_ShowsTheQuantilesOfEachProcess(t *testing.T) {
	server := shoaltest.NewServer()
	var last *process
	for i := range 2 {
		p := start(t, server, shoalprom.Opts{Quantiles: true, Modes: map[string]shoal.Mode{"wait_quantile": shoal.Max}})
		auto := promauto.With(p.counted)
		for _, name := range []string{"size", "wait"} {
			s := auto.NewSummary(prometheus.SummaryOpts{Name: name, Objectives: map[float64]float64{.5: .05, .99: .001}})
			s.Observe(float64(i))
		}
		p.flush()
		last = p
	}
	last.wants(`size_sum 1
size_count 2
size_quantile{gauge_index="0",quantile="0.5"} 0
size_quantile{gauge_index="1",quantile="0.5"} 1
size_quantile{gauge_index="0",quantile="0.99"} 0
size_quantile{gauge_index="1",quantile="0.99"} 1
wait_sum 1
wait_count 2
wait_quantile{quantile="0.5"} 1
wait_quantile{quantile="0.99"} 1
`)
}

func TestBridge_ShowsTheClassicPartOfANativeHistogram(t *testing.T) {
	counted := prometheus.NewRegistry()
	auto := promauto.With(counted)
	both := auto.NewHistogram(prometheus.HistogramOpts{Name: "both", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	native := auto.NewHistogram(prometheus.HistogramOpts{Name: "native", NativeHistogramBucketFactor: 1.1})
	p := startWith(t, shoaltest.NewServer(), counted, shoalprom.Opts{})
	for n := 1; n < 4; n++ {
		both.Observe(2)
		native.Observe(2)
		p.wants(fmt.Sprintf("both_bucket{le=\"1\"} 0\nboth_bucket{le=\"+Inf\"} %d\nboth_sum %d\nboth_count %d\n"+
			"native_bucket{le=\"+Inf\"} %[1]d\nnative_sum %[2]d\nnative_count %[1]d\n", n, 2*n, n))
	}
	if got := p.reports(); strings.Count(got, `"both"`) != 1 || strings.Count(got, `"native"`) != 1 {
		t.Errorf("reported is\n%s", got)
	}
}

func TestBridge_ASecondOneFromTheSameGathererIsRefused(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	if _, err := shoalprom.Bridge(p.shown, p.counted, shoalprom.Opts{Prefix: "again_"}); err == nil {
		t.Error("what is counted would be imported twice")
	}
	if _, err := shoalprom.Bridge(p.shown, prometheus.NewRegistry(), shoalprom.Opts{}); err != nil {
		t.Errorf("another gatherer: %v", err)
	}
	p.stop()
	p.stop() // does nothing
}

func TestBridge_GatherersOfTheSameRegistriesAreTheSame(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	other := prometheus.NewRegistry()
	promauto.With(other).NewCounter(prometheus.CounterOpts{Name: "c_total"}).Add(3)
	both := func() prometheus.Gatherer { return prometheus.Gatherers{other, prometheus.NewRegistry()} }
	list := both()
	stop, err := shoalprom.Bridge(p.shown, list, shoalprom.Opts{})
	must(t, err)
	for _, same := range []prometheus.Gatherer{list, prometheus.Gatherers{p.counted}} {
		if _, err := shoalprom.Bridge(p.shown, same, shoalprom.Opts{}); err == nil {
			t.Errorf("what is counted would be imported twice, of %v", same)
		}
	}
	p.wants("c_total 3\n")
	stop()
	_, err = shoalprom.Bridge(p.shown, list, shoalprom.Opts{}) // it goes on
	must(t, err)
	p.wants("c_total 3\n")
	stop, err = shoalprom.Bridge(p.shown, prometheus.Gatherers{prometheus.Gatherers{}, both()}, shoalprom.Opts{}) // can't be compared
	must(t, err)
	stop()
}

func TestBridge_StopCountsALastTimeAndDeletesTheGauges(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	auto := promauto.With(p.counted)
	c := auto.NewCounter(prometheus.CounterOpts{Name: "c_total"})
	g := auto.NewGauge(prometheus.GaugeOpts{Name: "g"})
	c.Add(3)
	g.Set(7)
	p.wants("c_total 3\ng{gauge_index=\"0\"} 7\n")
	c.Add(2)
	p.stop()
	c.Add(100)
	p.wants("c_total 5\n")
	if _, err := shoalprom.Bridge(p.shown, p.counted, shoalprom.Opts{}); err != nil { // it goes on
		t.Fatal(err)
	}
	p.wants("c_total 105\ng{gauge_index=\"0\"} 7\n")
}

func TestBridge_CloseDeliversWhatWasCountedLast(t *testing.T) {
	server := shoaltest.NewServer()
	counted, reg := prometheus.NewRegistry(), shoal.New()
	if err := server.Connect(reg, shoal.Opts{}); err != nil {
		t.Fatal(err)
	}
	if _, err := shoalprom.Bridge(reg, counted, shoalprom.Opts{Period: time.Hour}); err != nil {
		t.Fatal(err)
	}
	promauto.With(counted).NewCounter(prometheus.CounterOpts{Name: "c_total"}).Add(3)
	if err := reg.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := shoaltest.Value(t, server.New(t, shoal.Opts{}), "c_total"); got != 3 {
		t.Errorf("%v, want 3", got)
	}
}

// What is bridged before Connect is asked for afterwards.
func TestBridge_BeforeTheRegistryIsConnected(t *testing.T) {
	reg, counted := shoal.New(), prometheus.NewRegistry()
	if _, err := shoalprom.Bridge(reg, counted, shoalprom.Opts{Period: time.Hour}); err != nil {
		t.Fatal(err)
	}
	promauto.With(counted).NewCounter(prometheus.CounterOpts{Name: "c_total"}).Add(3)
	if err := shoaltest.NewServer().Connect(reg, shoal.Opts{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close(context.Background()) })
	if got := shoaltest.Value(t, reg, "c_total"); got != 3 {
		t.Errorf("%v, want 3", got)
	}
}

func TestBridge_NothingOfTheDefaultCollectorsIsRefused(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	p.counted.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	page := p.page()
	if got := p.reports(); got != "" {
		t.Errorf("reported is %s", got)
	}
	for name, want := range map[string]bool{
		"go_goroutines": true, "go_build_info": true, "go_memstats_alloc_bytes_total": true,
		"go_memstats_alloc_bytes{": true, "process_network_": false,
	} {
		if strings.Contains(page, name) != want {
			t.Errorf("%s is on the page: %v", name, !want)
		}
	}
	q := start(t, shoaltest.NewServer(), shoalprom.Opts{Modes: map[string]shoal.Mode{"process_network_*": shoal.Max}})
	q.counted.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if strings.Contains(scrapeOf(q.counted), "process_network_") && !strings.Contains(q.page(), "process_network_") {
		t.Error("what has a mode is left out")
	}
}

// A pattern that adds up gauges is not meant for what would be wrong.
func TestModes_APatternForGaugesLeavesOutWhatIsLeftOutByDefault(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{Modes: map[string]shoal.Mode{"go_*": shoal.Sum, "process_*": shoal.Sum}})
	p.counted.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	page := "\n" + p.page()
	for name, want := range map[string]bool{
		"\ngo_goroutines ": true, "\ngo_memstats_alloc_bytes_total ": true, "\ngo_memstats_alloc_bytes ": true, "\nprocess_network_": false,
	} {
		if strings.Contains(page, name) != want {
			t.Errorf("%q is on the page: %v", name, !want)
		}
	}
	if got := p.reports(); got != "" {
		t.Errorf("reported is %s", got)
	}
}

// scrapeOf is what a gatherer gives, as text.
func scrapeOf(from prometheus.Gatherer) string {
	families, _ := from.Gather()
	return fmt.Sprint(families)
}

func TestBridge_NamesThatAreOneWhenEscapedAreOneFamily(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	for _, name := range []string{"http.requests", "http_requests", "http-requests"} {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, []string{"name"})
		p.counted.MustRegister(c)
		c.WithLabelValues(name).Inc()
	}
	p.counted.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "http/requests"}))
	p.wants("http_requests{name=\"http-requests\"} 1\nhttp_requests{name=\"http.requests\"} 1\nhttp_requests{name=\"http_requests\"} 1\n")
	if got := p.reports(); !strings.Contains(got, `gauge "http_requests"`) {
		t.Errorf("the gauge is left out, and reported is %q", got)
	}
}

func TestBridge_NamesThatAreSharedInOpenMetricsAloneAreBothShown(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	auto := promauto.With(p.counted)
	auto.NewCounter(prometheus.CounterOpts{Name: "jobs_total"}).Add(2)
	for _, name := range []string{"jobs", "jobs_created"} {
		auto.NewGauge(prometheus.GaugeOpts{Name: name}).Set(1)
	}
	p.wants("jobs{gauge_index=\"0\"} 1\njobs_created{gauge_index=\"0\"} 1\njobs_total 2\n")
	if got := p.reports(); got != "" {
		t.Errorf("reported is %q", got)
	}
}

func TestBridge_AMetricThatClashesLeavesTheOthersAlone(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	p.shown.NewGauge(shoal.GaugeOpts{Name: "b", Mode: shoal.Sum}).Set(1)
	auto := promauto.With(p.counted)
	for _, name := range []string{"a", "b", "c"} {
		auto.NewCounter(prometheus.CounterOpts{Name: name}).Add(2)
	}
	p.wants("a 2\nb 1\nc 2\n")
	if got := p.reports(); !strings.Contains(got, `counter "b"`) {
		t.Errorf("reported is %q", got)
	}
}
