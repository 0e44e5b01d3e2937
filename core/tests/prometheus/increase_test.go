// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/config"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// counted declares what the tests count.
func counted(reg *shoal.Registry) *shoal.CounterVec {
	return reg.NewCounterVec(shoal.CounterOpts{Name: "errors_total", Help: "Errors."}, []string{"route"})
}

// startAll starts a Prometheus of each setup that knows start timestamps, and waits until
// each has scraped.
func startAll(t *testing.T, target string) []*server {
	t.Helper()
	var servers []*server
	for _, s := range knowing {
		servers = append(servers, start(t, target, s))
	}
	for _, s := range servers {
		s.await("up", 1)
	}
	return servers
}

func TestIncrease_SeesTheFirstEventsOfASeries(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	target := serve(t, reg)
	servers := startAll(t, target)
	ignorant := start(t, target, setup{name: "ignorant", protocol: config.PrometheusText0_0_4})
	ignorant.await("up", 1)
	errs := counted(reg)
	seconds := reg.NewHistogramVec(shoal.HistogramOpts{Name: "seconds", Buckets: []float64{1}}, []string{"route"})
	sizes := reg.NewSummaryVec(shoal.SummaryOpts{Name: "sizes"}, []string{"route"})
	for range 10 {
		errs.WithLabelValues("/new").Inc()
		seconds.WithLabelValues("/new").Observe(.5)
		sizes.WithLabelValues("/new").Observe(3)
	}
	for _, s := range servers {
		s.await("errors_total", 10)
		s.await("seconds_count", 10)
		s.wants("errors_total", 10)
		s.wants("seconds_count", 10)
		s.wants("seconds_sum", 5)
		s.wants(`seconds_bucket{le=~"1|1.0"}`, 10)
		s.wants("sizes_count", 10)
		s.wants("sizes_sum", 30)
		if matrix, err := s.samples("errors_created"); err != nil || len(matrix) > 0 {
			t.Errorf("%s: starts are stored as samples: %v, %v", s.name, matrix, err)
		}
	}
	ignorant.await("errors_total", 10)
	ignorant.wants("errors_total", 0)
}

// A series begins when Prometheus has sent its request and the page is not yet read: its
// start is later than its first sample, and Prometheus puts the 0 behind that. The events
// count once all the same.
func TestIncrease_OfASeriesThatBeginsWhileAScrapeIsUnderWay(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	page := reg.Handler(shoal.HandlerOpts{})
	begin := make(chan func(), 1)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case count := <-begin:
			count()
		default:
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(target.Close)
	s := start(t, target.Listener.Addr().String(), knowing[0])
	s.await("up", 1)
	errs := counted(reg)
	begin <- func() {
		time.Sleep(2 * time.Millisecond) // Prometheus's time of the sample, in whole ones, is before the start
		errs.WithLabelValues("/new").Add(10)
	}
	s.await("errors_total", 10)
	errs.WithLabelValues("/new").Add(3)
	s.await("errors_total", 13)
	if got := s.growth("errors_total"); got != 13 {
		matrix, err := s.samples("errors_total")
		t.Errorf("the samples add up to %v, want 13: %v, %v", got, matrix, err)
	}
}

func TestIncrease_OfASeriesThatIsDeletedAndBeginsAnew(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	servers := startAll(t, serve(t, reg))
	errs := counted(reg)
	total := 0.
	for _, step := range []struct {
		adds   float64
		atOnce bool // one flush deletes the series and begins it anew
	}{{7, false}, {9, false}, {5, true}, {30, true}} {
		errs.DeleteLabelValues("/a")
		if !step.atOnce {
			testkit.Must(t, reg.Flush(t.Context()))
		}
		errs.WithLabelValues("/a").Add(step.adds)
		total += step.adds
		for _, s := range servers {
			s.await("errors_total", step.adds)
			s.wants("errors_total", total)
		}
	}
}

func TestIncrease_AfterAWipe(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	reg := process(t, redis, appOf(t))
	servers := startAll(t, serve(t, reg))
	errs := counted(reg)
	errs.WithLabelValues("/a").Add(7)
	for _, s := range servers {
		s.await("errors_total", 7)
	}
	testkit.Must(t, redis.Client(t).FlushAll(t.Context()).Err())
	errs.WithLabelValues("/a").Add(5)
	errs.WithLabelValues("/b").Add(20)
	for _, s := range servers {
		s.await("errors_total", 25)
		s.wants("errors_total", 32)
	}
}

// Processes come and go while others count, and any of them answers a scrape.
func TestIncrease_OfProcessesThatJoinLater(t *testing.T) {
	t.Parallel()
	redis := redistest.Shared(t)
	app := appOf(t)
	a, b := process(t, redis, app), process(t, redis, app)
	servers := startAll(t, serve(t, a, b))
	inA := counted(a)
	inA.WithLabelValues("/a").Add(3)
	for _, s := range servers {
		s.await("errors_total", 3)
	}
	inB := counted(b)
	inB.WithLabelValues("/a").Add(4)
	inB.WithLabelValues("/b").Add(5)
	testkit.Must(t, b.Flush(t.Context()))
	c := process(t, redis, app)
	inC := counted(c)
	var adders sync.WaitGroup
	for _, vec := range []*shoal.CounterVec{inA, inB, inC} {
		adders.Go(func() {
			for range 20 {
				vec.WithLabelValues("/c").Inc()
			}
		})
	}
	adders.Wait()
	testkit.Must(t, c.Flush(t.Context()))
	testkit.Must(t, a.Flush(t.Context()))
	for _, s := range servers {
		s.await("errors_total", 72)
		s.wants("errors_total", 72)
	}
}

// Redis returns to what its disk has: the processes bring back the rest, under the starts
// that it had.
func TestIncrease_AfterAStepBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	reg := process(t, redis, appOf(t))
	servers := startAll(t, serve(t, reg))
	errs := counted(reg)
	errs.WithLabelValues("/a").Add(3)
	testkit.Must(t, reg.Flush(t.Context()))
	testkit.Must(t, redis.Client(t).Save(t.Context()).Err())
	errs.WithLabelValues("/a").Add(4)
	errs.WithLabelValues("/b").Add(5)
	for _, s := range servers {
		s.await("errors_total", 12)
	}
	redis.Kill()
	redis.Restart(t)
	errs.WithLabelValues("/b").Add(1)
	errs.WithLabelValues("/c").Add(2)
	for _, s := range servers {
		s.await("errors_total", 15)
		s.wants("errors_total", 15)
	}
}
