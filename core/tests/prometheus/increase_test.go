// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"net/http"
	"net/http/httptest"
	"strconv"
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

func TestIncrease_SeesTheFirstEventsOfASeries(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	fleet := watch(t, reg)
	ignorant := start(t, serve(t, reg).addr, setup{name: "ignorant", protocol: config.PrometheusText0_0_4})
	ignorant.await("up", 1)
	errs := counted(reg)
	seconds := reg.NewHistogramVec(shoal.HistogramOpts{Name: "seconds", Buckets: []float64{1}}, []string{"route"})
	sizes := reg.NewSummaryVec(shoal.SummaryOpts{Name: "sizes"}, []string{"route"})
	for route, selector := range fleet.routes {
		if !fleet.between(func() {
			for range 10 {
				errs.WithLabelValues(route).Inc()
				seconds.WithLabelValues(route).Observe(.5)
				sizes.WithLabelValues(route).Observe(3)
			}
			testkit.Must(t, reg.Flush(t.Context()))
		}) || !fleet.sees(selector, 10, 10) {
			continue
		}
		of := "{route=" + strconv.Quote(route) + "}"
		fleet.must("seconds_count"+of, 10, 10)
		fleet.must("seconds_sum"+of, 5, 5)
		fleet.must("seconds_bucket{le=~'1|1.0',route="+strconv.Quote(route)+"}", 10, 10)
		fleet.must("sizes_count"+of, 10, 10)
		fleet.must("sizes_sum"+of, 30, 30)
		for _, s := range fleet.servers {
			if matrix, err := s.samples("errors_created"); err != nil || len(matrix) > 0 {
				t.Errorf("%s: starts are stored as samples: %v, %v", s.name, matrix, err)
			}
		}
		ignorant.await(selector, 10)
		if got := ignorant.growth(selector); got != 0 {
			t.Errorf("without starts the samples add up to %v", got)
		}
		break
	}
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
	alone := &fleet{t: t}
	for route, selector := range alone.routes {
		begin <- func() {
			time.Sleep(2 * time.Millisecond) // Prometheus's time of the sample, in whole ones, is before the start
			errs.WithLabelValues(route).Add(10)
		}
		s.await(selector, 10)
		errs.WithLabelValues(route).Add(3)
		s.await(selector, 13)
		matrix, err := s.samples(selector)
		testkit.Must(t, err)
		if first := matrix[0].Floats[0]; first.F == 10 && first.T == startOf(t, reg, "errors_total", route) {
			continue // Prometheus puts no 0 into the millisecond of a sample
		}
		if got := s.growth(selector); got != 13 {
			t.Errorf("the samples add up to %v, want 13: %v", got, matrix)
		}
		break
	}
}

// startOf returns the start of a counter's series of a route, in Unix milliseconds.
func startOf(t *testing.T, reg *shoal.Registry, name, route string) int64 {
	t.Helper()
	families, err := reg.Gather()
	testkit.Must(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == route {
				return metric.GetCounter().GetCreatedTimestamp().AsTime().UnixMilli()
			}
		}
	}
	t.Fatalf("the page has no start for route %s", route)
	return 0
}

func TestIncrease_OfASeriesThatIsDeletedAndBeginsAnew(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	fleet := watch(t, reg)
	errs := counted(reg)
	count := func(route string, n float64) func() {
		return func() {
			errs.WithLabelValues(route).Add(n)
			testkit.Must(t, reg.Flush(t.Context()))
		}
	}
	remove := func(route string) func() {
		return func() {
			errs.DeleteLabelValues(route)
			testkit.Must(t, reg.Flush(t.Context()))
		}
	}
	for route, selector := range fleet.routes {
		if fleet.between(count(route, 7)) && fleet.sees(selector, 7, 7) &&
			fleet.between(remove(route)) &&
			fleet.between(count(route, 9)) && fleet.sees(selector, 9, 16) {
			break
		}
	}
}

func TestIncrease_OfASeriesThatOneFlushDeletesAndBeginsAnew(t *testing.T) {
	t.Parallel()
	reg := process(t, redistest.Shared(t), appOf(t))
	fleet := watch(t, reg)
	errs := counted(reg)
	for route, selector := range fleet.routes {
		errs.WithLabelValues(route).Add(7)
		if fleet.sees(selector, 7, 7) && fleet.between(func() {
			errs.Reset()
			errs.WithLabelValues(route).Add(30) // more than before: Prometheus does not see a fall
			testkit.Must(t, reg.Flush(t.Context()))
		}) && fleet.sees(selector, 30, 37) {
			break
		}
	}
}

// After a wipe the first value is less than the last before it: Prometheus sees a fall.
func TestIncrease_AfterAWipe(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	client := redis.Client(t)
	reg := process(t, redis, appOf(t))
	fleet := watch(t, reg)
	errs := counted(reg)
	errs.WithLabelValues("/a").Add(7)
	for route := range fleet.routes {
		all := "errors_total{route=~" + strconv.Quote(route+".+") + "}"
		if fleet.between(func() {
			errs.WithLabelValues(route + "a").Add(7)
			testkit.Must(t, reg.Flush(t.Context()))
		}) && fleet.sees(all, 7, 7) && fleet.between(func() {
			testkit.Must(t, client.FlushAll(t.Context()).Err())
			errs.WithLabelValues(route + "a").Add(5)
			errs.WithLabelValues(route + "b").Add(20)
			testkit.Must(t, reg.Flush(t.Context()))
		}) && fleet.sees(all, 25, 32) {
			break
		}
	}
}

// The flush that a scrape waits for brings a series that begins anew: its start must not be
// later than the request.
func TestIncrease_IsNeverMoreThanWhatWasCounted(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	client := redis.Client(t)
	reg := process(t, redis, appOf(t))
	fleet := watch(t, reg)
	errs := counted(reg)
	remove := func(route string) { errs.DeleteLabelValues(route) }
	wipe := func(string) { testkit.Must(t, client.FlushAll(t.Context()).Err()) }
	steps := []struct {
		before func(route string)
		adds   float64
	}{{func(string) {}, 7}, {remove, 5}, {remove, 30}, {wipe, 4}, {wipe, 20}}
	for route, selector := range fleet.routes {
		total, done := 0., 0
		for _, step := range steps {
			if !fleet.between(func() {
				step.before(route)
				errs.WithLabelValues(route).Add(step.adds)
			}) {
				break
			}
			total += step.adds
			fleet.sees(selector, step.adds, total)
			done++
		}
		if done == len(steps) {
			break
		}
	}
}

// Processes come and go while others count, and any of them answers a scrape.
func TestIncrease_OfProcessesThatJoinLater(t *testing.T) {
	t.Parallel()
	redis := redistest.Shared(t)
	app := appOf(t)
	a, b := process(t, redis, app), process(t, redis, app)
	fleet := watch(t, a, b)
	inA, inB := counted(a), counted(b)
	for route := range fleet.routes {
		all := "errors_total{route=~" + strconv.Quote(route+".+") + "}"
		if !fleet.between(func() {
			inA.WithLabelValues(route + "a").Add(3)
			testkit.Must(t, a.Flush(t.Context()))
		}) || !fleet.sees(all, 3, 3) {
			continue
		}
		if fleet.between(func() {
			inB.WithLabelValues(route + "a").Add(4)
			inB.WithLabelValues(route + "b").Add(5)
			c := process(t, redis, app)
			inC := counted(c)
			var adders sync.WaitGroup
			for _, vec := range []*shoal.CounterVec{inA, inB, inC} {
				adders.Go(func() {
					for range 20 {
						vec.WithLabelValues(route + "c").Inc()
					}
				})
			}
			adders.Wait()
			for _, reg := range []*shoal.Registry{c, b, a} {
				testkit.Must(t, reg.Flush(t.Context()))
			}
		}) && fleet.sees(all, 72, 72) {
			break
		}
	}
}

// Redis returns to what its disk has: the processes bring back the rest, under the starts
// that it had.
func TestIncrease_AfterAStepBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	reg := process(t, redis, appOf(t))
	fleet := watch(t, reg)
	client := redis.Client(t)
	errs := counted(reg)
	for route := range fleet.routes {
		all := "errors_total{route=~" + strconv.Quote(route+".+") + "}"
		if !fleet.between(func() {
			errs.WithLabelValues(route + "a").Add(3)
			testkit.Must(t, reg.Flush(t.Context()))
			testkit.Must(t, client.Save(t.Context()).Err())
			errs.WithLabelValues(route + "a").Add(4)
			errs.WithLabelValues(route + "b").Add(5)
			testkit.Must(t, reg.Flush(t.Context()))
		}) || !fleet.sees(all, 12, 12) {
			continue
		}
		redis.Kill()
		redis.Restart(t)
		errs.WithLabelValues(route + "b").Add(1)
		errs.WithLabelValues(route + "c").Add(2)
		if fleet.sees(all, 15, 15) {
			break
		}
	}
}
