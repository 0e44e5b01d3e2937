// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// scrapeInterval is that of all servers.
const scrapeInterval = 300 * time.Millisecond

// accuracy is that of PromQL's sums of fractions.
const accuracy = 1e-6

// setup is how a Prometheus is started.
type setup struct {
	name     string
	protocol config.ScrapeProtocol
	zeros    bool          // --enable-feature=created-timestamp-zero-ingestion
	stored   bool          // --enable-feature=st-storage,use-start-timestamps
	reload   time.Duration // between two updates of the targets; 0 for Prometheus's own
}

// knowing are the ways in which Prometheus uses start timestamps.
var knowing = []setup{
	{name: "zeros from protobuf", protocol: config.PrometheusProto, zeros: true},
	{name: "zeros from OpenMetrics", protocol: config.OpenMetricsText1_0_0, zeros: true},
	{name: "stored starts", protocol: config.PrometheusProto, stored: true},
}

// server is a Prometheus.
type server struct {
	setup
	t      *testing.T
	db     *tsdb.DB
	engine *promql.Engine
}

// groups are targets, by the job.
type groups = map[string][]*targetgroup.Group

// start starts a Prometheus that scrapes one target.
func start(t *testing.T, target string, s setup) *server {
	t.Helper()
	targets := make(chan groups, 1)
	targets <- groups{"shop": {{Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(target)}}}}}
	return run(t, s, "job_name: shop", func(*config.Config, *slog.Logger) <-chan groups { return targets })
}

// run starts a Prometheus with this scrape configuration, whose targets come from a channel.
func run(t *testing.T, s setup, job string, discover func(*config.Config, *slog.Logger) <-chan groups) *server {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.EnableSTAsZeroSample = s.zeros
	if opts.EnableSTStorage = s.stored; s.stored {
		opts.FloatChunkEncoding = chunkenc.EncXOR2
	}
	logger := slog.New(slog.DiscardHandler)
	db, err := tsdb.Open(t.TempDir(), logger, nil, opts, nil)
	testkit.Must(t, err)
	manager, err := scrape.NewManager(&scrape.Options{
		ParseST:                           s.zeros || s.stored,
		EnableStartTimestampZeroIngestion: s.zeros,
		DiscoveryReloadOnStartup:          true,
		DiscoveryReloadInterval:           model.Duration(s.reload),
	}, logger, nil, nil, db, prometheus.NewRegistry())
	testkit.Must(t, err)
	conf, err := config.Load(fmt.Sprintf(`
global: {scrape_interval: %v, scrape_timeout: %[1]v, scrape_protocols: [%s]}
scrape_configs: [{%s}]
`, scrapeInterval, s.protocol, job), logger)
	testkit.Must(t, err)
	testkit.Must(t, manager.ApplyConfig(conf))
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(discover(conf, logger)) }()
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: logger, MaxSamples: 1e6, Timeout: testkit.Patience, UseStartTimestamps: s.stored,
	})
	t.Cleanup(func() {
		manager.Stop()
		testkit.Check(t, <-ended)
		testkit.Check(t, engine.Close())
		testkit.Check(t, db.Close())
	})
	return &server{s, t, db, engine}
}

// query runs an instant query.
func (s *server) query(expr string, at time.Time) (*promql.Result, error) {
	query, err := s.engine.NewInstantQuery(s.t.Context(), s.db, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if matrix, err := result.Matrix(); err == nil { // the next query uses its memory again
		matrix = slices.Clone(matrix)
		for i := range matrix {
			matrix[i].Floats = slices.Clone(matrix[i].Floats)
		}
		return &promql.Result{Value: matrix}, nil
	}
	return result, result.Err
}

// samples reads all samples of the series that a selector names.
func (s *server) samples(selector string) (promql.Matrix, error) {
	result, err := s.query(selector+"[1h]", time.Now())
	if err != nil {
		return nil, err
	}
	return result.Matrix()
}

// increase is what increase() gives of the series that a selector names, at the time of
// their last sample: there PromQL extrapolates nothing at the end of the range. last is the
// sum of the values at that time.
func (s *server) increase(selector string) (increase, last float64, err error) {
	matrix, err := s.samples(selector)
	if err != nil {
		return 0, 0, err
	}
	at := int64(0)
	for _, series := range matrix {
		at = max(at, series.Floats[len(series.Floats)-1].T)
	}
	for _, series := range matrix {
		if end := series.Floats[len(series.Floats)-1]; end.T == at {
			last += end.F
		}
	}
	result, err := s.query("sum(increase("+selector+"[1h]))", time.UnixMilli(at))
	if err != nil {
		return 0, 0, err
	}
	vector, err := result.Vector()
	if err != nil || len(vector) == 0 {
		return 0, last, err
	}
	return vector[0].F, last, nil
}

// growth is what the samples of a series add up to: what increase() gives before it
// extrapolates.
func (s *server) growth(selector string) float64 {
	s.t.Helper()
	matrix, err := s.samples(selector)
	testkit.Must(s.t, err)
	growth := 0.
	for _, series := range matrix {
		for i, point := range series.Floats[1:] {
			if growth += point.F; point.F >= series.Floats[i].F {
				growth -= series.Floats[i].F
			}
		}
	}
	return growth
}

// await waits until the last samples of the series add up to last, in two more scrapes.
func (s *server) await(selector string, last float64) {
	s.t.Helper()
	var since time.Time
	testkit.Eventually(s.t, func() error {
		_, sum, err := s.increase(selector)
		switch {
		case err != nil:
			return err
		case sum != last:
			since = time.Time{}
			return fmt.Errorf("%s: the last samples of %s are %v, want %v", s.name, selector, sum, last)
		case since.IsZero():
			since = time.Now()
		}
		matrix, err := s.samples("up")
		if err != nil {
			return err
		}
		scrapes := 0
		for _, series := range matrix {
			for _, point := range series.Floats {
				if point.F == 1 && point.T > since.UnixMilli() {
					scrapes++
				}
			}
		}
		if scrapes < 2 {
			return fmt.Errorf("%s: %d scrapes after that", s.name, scrapes)
		}
		return nil
	})
}
