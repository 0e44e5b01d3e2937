// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/file" // registers itself
	"github.com/prometheus/prometheus/promql"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// workers are processes that a Prometheus discovers, under load.
type workers struct {
	t        *testing.T
	settings childSettings
	file     string // of the discovery

	mu   sync.Mutex
	list []*child       // guarded by mu
	sent map[string]int // by route; guarded by mu
}

// publish writes the file of the discovery anew. The caller holds mu.
func (p *workers) publish() {
	p.t.Helper()
	var addrs []string
	for _, c := range p.list {
		addrs = append(addrs, c.addr)
	}
	text, err := json.Marshal([]map[string][]string{{"targets": addrs}})
	testkit.Must(p.t, err)
	testkit.Must(p.t, os.WriteFile(p.file+".new", text, 0o600))
	testkit.Must(p.t, os.Rename(p.file+".new", p.file))
}

// add starts a process.
func (p *workers) add() {
	p.t.Helper()
	c := startChild(p.t, p.settings)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, c)
	p.publish()
}

// remove takes the process that has the shared families from the load, and then ends it. It stays a
// target until the next process starts.
func (p *workers) remove(end func(*child)) {
	p.t.Helper()
	p.mu.Lock()
	var with []int
	for i, c := range p.list {
		if strings.Contains(c.get("/plain"), "\nshoal_instances ") {
			with = append(with, i)
		}
	}
	if len(with) != 1 {
		p.t.Fatalf("%d processes have the shared families", len(with))
	}
	c := p.list[with[0]]
	p.list = slices.Delete(p.list, with[0], with[0]+1)
	p.mu.Unlock()
	c.get("/flush")
	end(c)
}

// steady is how many requests of the route of the load there were.
func (p *workers) steady() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(p.sent["/steady"])
}

// count sends a request of a route to one process.
func (p *workers) count(route string, n int) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock() // so that no process ends meanwhile
	p.list[n%len(p.list)].get("/count?route=" + route)
	p.sent[route]++
}

// load counts all the time, until the context ends.
func (p *workers) load(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
			p.count("/steady", n)
		case <-ctx.Done():
			return
		}
	}
}

// discovering starts a Prometheus that discovers the processes.
func (p *workers) discovering(s setup, path, more string) *server {
	p.t.Helper()
	job := fmt.Sprintf("job_name: shop, metrics_path: %s, file_sd_configs: [{files: [%q]}]%s", path, p.file, more)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	p.t.Cleanup(func() { // before the server ends
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			p.t.Errorf("the discovery ends with %v", err)
		}
	})
	return run(p.t, s, job, func(conf *config.Config, logger *slog.Logger) <-chan groups {
		registry := prometheus.NewRegistry()
		metrics, err := discovery.CreateAndRegisterSDMetrics(registry)
		testkit.Must(p.t, err)
		manager := discovery.NewManager(ctx, logger, registry, metrics, discovery.Updatert(scrapeInterval/10))
		testkit.Must(p.t, manager.ApplyConfig(map[string]discovery.Configs{"shop": conf.ScrapeConfigs[0].ServiceDiscoveryConfigs}))
		go func() { ended <- manager.Run() }()
		return manager.SyncCh()
	})
}

// Four processes are targets that Prometheus discovers. Under load each is ended and another one
// started, four times, and once one is killed.
func TestEachProcess_OfARollingDeployUnderLoad(t *testing.T) { // alone: the other tests need quiet scrapes
	all := &workers{
		t: t, settings: childSettings{URL: redistest.Shared(t).URL(), App: appOf(t), Lease: 5 * time.Second},
		file: filepath.Join(t.TempDir(), "targets.json"), sent: map[string]int{},
	}
	for range 4 {
		all.add()
	}
	var honored, plain []*server
	for _, s := range knowing {
		name := s.name
		s.reload = scrapeInterval / 10
		s.name = name + ", honored"
		honored = append(honored, all.discovering(s, "/honored", ", honor_labels: true"))
		s.name = name + ", plain"
		plain = append(plain, all.discovering(s, "/plain", ""))
	}
	servers := append(honored, plain...)
	for _, s := range servers {
		s.settles("up", 4)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { all.load(ctx) })
	const killed = 2
	ends := []func(*child){(*child).End, (*child).End, killed: (*child).Kill, (*child).End, (*child).End}
	var left []time.Time // when each had gone, at the latest
	for i, end := range ends {
		early := fmt.Sprintf("/early%d", i) // it counts nothing more after the move
		for n := range 100 {
			all.count(early, n)
		}
		for _, s := range servers {
			s.settles(fmt.Sprintf("http_requests_total{route=%q}", early), 100)
		}
		all.remove(end)
		gone := time.Now()
		if i == killed {
			gone = gone.Add(all.settings.Lease)
		}
		left = append(left, gone)
		all.add()
		now := all.steady()
		for _, s := range servers { // the next one has them
			s.reaches("max(http_requests_total{route='/steady'})", now+1)
			s.settles(fmt.Sprintf("http_requests_total{route=%q}", early), 100)
		}
	}
	cancel()
	load.Wait()
	for _, c := range all.list {
		c.get("/flush")
	}
	total := 0.
	for _, n := range all.sent {
		total += float64(n)
	}
	for _, s := range servers {
		s.settles("http_requests_total", total)
		s.settles("shoal_instances", 4)
		s.settles("level", 4)
	}
	reader := shoal.New()
	testkit.Must(t, reader.Open(all.settings.URL, shoal.Opts{App: all.settings.App, ReadOnly: true}))
	t.Cleanup(func() { testkit.Check(t, reader.Close(context.Background())) })
	// unseen is the value of the first sample of a route if its series began in the millisecond of
	// that sample: Prometheus puts no 0 there.
	unseen := func(s *server, route string) float64 {
		first := s.first(fmt.Sprintf("http_requests_total{route=%q}", route))
		if first.T == startOf(t, reader, "http_requests_total", route) {
			return first.F
		}
		return 0
	}
	for _, s := range honored {
		got, _, err := s.increase("http_requests_total")
		testkit.Must(t, err)
		if math.Abs(got-total) > total/50 {
			t.Errorf("%s: increase() is %v, and %v were sent", s.name, got, total)
		}
		for route, sent := range all.sent {
			if n := s.counted(fmt.Sprintf("http_requests_total{route=%q}", route)); n != float64(sent)-unseen(s, route) {
				t.Errorf("%s: of route %s %v are counted, and %d were sent", s.name, route, n, sent)
			}
		}
	}
	for _, s := range plain {
		missed := s.missedInMoves("http_requests_total{route='/steady'}", left)
		if n := s.counted("http_requests_total{route='/steady'}"); n != float64(all.sent["/steady"])-missed-unseen(s, "/steady") {
			t.Errorf("%s: %v are counted and %v missed, and %d were sent", s.name, n, missed, all.sent["/steady"])
		}
		for i := range ends {
			early := fmt.Sprintf("/early%d", i)
			route := fmt.Sprintf("http_requests_total{route=%q}", early)
			// A process tells the start of a series early by as much as it may be wrong about
			// Redis's clock. A start before the last move is on no page: then the first sample does
			// not count.
			if n := s.counted(route); n != 100-unseen(s, early) && (i == 0 || n != 100-s.first(route).F) {
				t.Errorf("%s: of route %d %v are counted, and 100 were sent", s.name, i, n)
			}
		}
	}
}

// first is the earliest sample.
func (s *server) first(selector string) promql.FPoint {
	s.t.Helper()
	matrix, err := s.samples(selector)
	testkit.Must(s.t, err)
	return slices.MinFunc(matrix, func(a, b promql.Series) int { return cmp.Compare(a.Floats[0].T, b.Floats[0].T) }).Floats[0]
}

// reaches waits until the newest sample is at least this.
func (s *server) reaches(expr string, least float64) {
	s.t.Helper()
	testkit.Eventually(s.t, func() error {
		result, err := s.query(expr, time.Now())
		if err != nil {
			return err
		}
		if vector, err := result.Vector(); err != nil || len(vector) != 1 || vector[0].F < least {
			return fmt.Errorf("%s: %s is %v, want at least %v, %w", s.name, expr, vector, least, err)
		}
		return nil
	})
}

// settles waits until the newest samples add up to this, as sum() adds them.
func (s *server) settles(selector string, want float64) {
	s.t.Helper()
	testkit.Eventually(s.t, func() error {
		result, err := s.query("sum("+selector+")", time.Now())
		if err != nil {
			return err
		}
		vector, err := result.Vector()
		if err != nil || len(vector) != 1 || vector[0].F != want {
			return fmt.Errorf("%s: the sum of %s is %v, want %v, %w", s.name, selector, vector, want, err)
		}
		return nil
	})
}

// counted is what the samples of series add up to, without what increase() extrapolates: what stored
// starts and zeros at them tell is counted as well.
func (s *server) counted(selector string) (sum float64) {
	s.t.Helper()
	matrix, err := s.samples(selector)
	testkit.Must(s.t, err)
	for _, series := range matrix {
		first := series.Floats[0]
		if s.stored {
			result, err := s.query(fmt.Sprintf("increase(%s[1h])", series.Metric.String()), time.UnixMilli(first.T))
			testkit.Must(s.t, err)
			if vector, err := result.Vector(); err == nil && len(vector) == 1 { // the start is known
				sum += first.F
			}
		}
		last := first
		for _, point := range series.Floats[1:] {
			if sum += point.F; point.F >= last.F {
				sum -= last.F
			}
			last = point
		}
	}
	return sum
}

// missedInMoves is what was counted between the last sample of one target and the first of the
// next. The next one must have the series on the first page that was asked for after the other
// had gone: then a move misses what is counted in a scrape interval on the average.
func (s *server) missedInMoves(selector string, left []time.Time) (missed float64) {
	s.t.Helper()
	matrix, err := s.samples(selector)
	testkit.Must(s.t, err)
	if len(matrix) != len(left)+1 {
		s.t.Fatalf("%s: the series were on the pages of %d targets, want %d", s.name, len(matrix), len(left)+1)
	}
	slices.SortFunc(matrix, func(a, b promql.Series) int { return cmp.Compare(a.Floats[0].T, b.Floats[0].T) })
	for i := range matrix[1:] {
		before, after := matrix[i].Floats, matrix[i+1].Floats
		last, first := before[len(before)-1], after[0]
		if last.T >= first.T || last.F > first.F {
			s.t.Errorf("%s: the series are on two targets at once: %v, and then %v", s.name, last, first)
		}
		missed += first.F - last.F
		up, err := s.samples(fmt.Sprintf("up{instance=%q}", matrix[i+1].Metric.Get("instance")))
		testkit.Must(s.t, err)
		for _, scrape := range up[0].Floats {
			if scrape.F == 1 && scrape.T > left[i].UnixMilli()+1 && scrape.T < first.T {
				s.t.Errorf("%s: a process had gone by %v, and the next one's page of %v lacks the series", s.name, left[i].UnixMilli(), scrape.T)
			}
		}
	}
	return missed
}
