// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// What each process of a fleet changes every second: some families, each with the same number
// of series, with the labels of a middleware. All processes have the same series.
const (
	fleetFamilies   = 4
	seriesPerFamily = 50 // in each family
	fleetSeries     = fleetFamilies * seriesPerFamily
)

// fleetTime is how long one iteration watches a fleet.
const fleetTime = 10 * time.Second

// fleetSizes show how the cost grows.
var fleetSizes = []int{10, 100, 1000}

// BenchmarkFleet has many processes, each a registry with its own connection. They change
// 200 series a second, and flush them every second, which is the default. All run in this
// process, so the server's work is read from INFO: the calls that it got, and the cores that it
// used. Behind is the average age of what Redis does not have yet: half a second if every flush
// succeeds at once. The time of an iteration means nothing.
func BenchmarkFleet(b *testing.B) {
	for _, kind := range []struct {
		name       string
		histograms int // families of them; the rest are counters
	}{{"integers", 0}, {"mixed", fleetFamilies / 2}} {
		for _, processes := range fleetSizes {
			b.Run("kind="+kind.name+"/processes="+strconv.Itoa(processes), func(b *testing.B) {
				runFleet(b, processes, kind.histograms)
			})
		}
	}
}

func runFleet(b *testing.B, processes, histograms int) {
	server := redistest.Start(b)
	client := server.Client(b)
	works := make([]func(), processes)
	fleet := startFleet(b, server, "fleet", processes, func(i int, reg *shoal.Registry) {
		works[i] = changes(reg, histograms)
		time.Sleep(time.Second / time.Duration(processes)) // so that they do not flush at the same time
	})
	flushAll(b, fleet)
	var changed atomic.Int64 // how often all processes changed the first series
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { everySecond(stop, works, &changed) })
	defer load.Wait()
	defer close(stop)
	time.Sleep(2 * time.Second) // until the load is steady

	calls, infos := loadOf(b, client, "evalsha"), loadOf(b, client, "info")
	before, begin := changed.Load(), time.Now()
	var behind, most, readings float64
	b.ResetTimer()
	for b.Loop() {
		for end := time.Now().Add(fleetTime); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			known := changed.Load()
			stored, err := client.HGet(context.Background(), "shoal:1:{fleet/family_0_total}:v", firstSeries).Int64()
			if err != nil {
				b.Fatal(err)
			}
			seconds := float64(max(0, known-stored)) / float64(processes)
			behind, most, readings = behind+seconds, max(most, seconds), readings+1
		}
	}
	took := time.Since(begin).Seconds()
	after := loadOf(b, client, "evalsha")
	cpu, series := after.cpu-calls.cpu, float64(changed.Load()-before)*fleetSeries
	sent := after.calls - calls.calls + loadOf(b, client, "info").calls - infos.calls
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(series/took, "series/s")
	b.ReportMetric(sent/took, "calls/s")
	b.ReportMetric(sent/took/float64(processes), "calls/process/s")
	b.ReportMetric((after.micros-calls.micros)*1000/(after.calls-calls.calls), "server-ns/call")
	b.ReportMetric(cpu/took, "server-cores")
	b.ReportMetric(cpu*1e6/series, "server-µs/series")
	b.ReportMetric(behind/readings, "s-behind")
	b.ReportMetric(most, "s-behind-most")
}

// firstSeries is the field of the first series of each family.
const firstSeries = "code\xff200\xffmethod\xffGET\xffroute\xff/items/0"

// changes declares the metrics of a process, and returns a function that changes every series
// once.
func changes(reg *shoal.Registry, histograms int) (change func()) {
	labels := []string{"code", "method", "route"}
	var counters []*shoal.Counter
	var durations []*shoal.Histogram
	for family := range fleetFamilies {
		name := "family_" + strconv.Itoa(family)
		if family < fleetFamilies-histograms {
			vec := reg.NewCounterVec(shoal.CounterOpts{Name: name + "_total"}, labels)
			for i := range seriesPerFamily {
				counters = append(counters, vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(i)))
			}
		} else {
			vec := reg.NewHistogramVec(shoal.HistogramOpts{Name: name + "_seconds"}, labels)
			for i := range seriesPerFamily {
				durations = append(durations, vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(i)))
			}
		}
	}
	return func() {
		for _, c := range counters {
			c.Inc()
		}
		for _, h := range durations {
			h.Observe(.02) // two buckets
			h.Observe(.3)
		}
	}
}

// everySecond calls each of works once a second, one after the other, until stop is closed. Done
// counts the calls.
func everySecond(stop <-chan struct{}, works []func(), done *atomic.Int64) {
	begin, pause := time.Now(), time.Second/time.Duration(len(works))
	for k := 0; ; k++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Until(begin.Add(time.Duration(k) * pause))):
		}
		works[k%len(works)]()
		done.Add(1)
	}
}

// BenchmarkFleetScrape reads a page that shows 200 counters, and two gauges of
// each process.
func BenchmarkFleetScrape(b *testing.B) {
	for _, processes := range fleetSizes {
		b.Run("processes="+strconv.Itoa(processes), func(b *testing.B) {
			name := "fleet-scrape-" + strconv.Itoa(processes)
			fleet := startFleet(b, redistest.Shared(b), name, processes, func(i int, reg *shoal.Registry) {
				changes(reg, 0)()
				reg.NewGauge(shoal.GaugeOpts{Name: "requests_in_flight"}).Set(float64(i))
				reg.NewGauge(shoal.GaugeOpts{Name: "goroutines"}).Set(float64(i))
			})
			flushAll(b, fleet)
			handler := fleet[0].Handler(shoal.HandlerOpts{})
			req := forms[0].request(false)
			scrape(b, handler, req)
			measured := measureServer(b, redistest.Shared(b), "evalsha", processes)
			b.ReportAllocs()
			for b.Loop() {
				scrape(b, handler, req)
			}
			measured()
		})
	}
}

// startFleet connects this many registries, each with a client of its own, after
// prepare has declared their metrics, and closes them at the end.
func startFleet(b *testing.B, server *redistest.Server, name string, processes int, prepare func(i int, reg *shoal.Registry)) []*shoal.Registry {
	b.Helper()
	var troubles atomic.Int64
	fleet := make([]*shoal.Registry, processes)
	for i := range fleet {
		fleet[i] = shoal.New()
		prepare(i, fleet[i])
		opts := shoal.Opts{App: name, OnError: func(error) { troubles.Add(1) }}
		if err := fleet[i].Open(server.URL(), opts); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		ofAll(b, fleet, (*shoal.Registry).Close)
		if n := troubles.Load(); n > 0 {
			b.Logf("%d troubles: the machine is too busy for the figures to mean much", n)
		}
	})
	return fleet
}

func flushAll(b *testing.B, fleet []*shoal.Registry) {
	b.Helper()
	ofAll(b, fleet, (*shoal.Registry).Flush)
}

func ofAll(b *testing.B, fleet []*shoal.Registry, do func(*shoal.Registry, context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for _, reg := range fleet {
		all.Go(func() {
			if err := do(reg, ctx); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
}
