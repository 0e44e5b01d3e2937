// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// A histogram of the default buckets has 14 lines on the page.
const linesOfHistogram = 14

// BenchmarkScrape reads whole pages: shoal's from Redis, the flush before it included, and
// promhttp's from memory. Side bare is what every reader of Redis has to do: read the same values
// with go-redis, and do nothing with them. There are as many histograms as have the lines of
// 1,000, 10,000 and 100,000 counters, and 10,000 histograms.
func BenchmarkScrape(b *testing.B) {
	for _, kind := range []struct {
		name   string
		key    string // of the values of so many series
		series []int
		fill   func(reg *shoal.Registry, peer *prometheus.Registry, series int)
	}{
		{"counters", "shoal:1:{scrape-counters-%d/c_total}:v", []int{1000, 10_000, 100_000}, fillCounters},
		{"histograms", "shoal:1:{scrape-histograms-%d/h_seconds}:v", []int{1000 / linesOfHistogram, 10_000 / linesOfHistogram, 100_000 / linesOfHistogram, 10_000}, fillHistograms},
	} {
		for _, series := range kind.series {
			b.Run(fmt.Sprintf("series=%d/kind=%s", series, kind.name), func(b *testing.B) {
				reg := connected(b, redistest.Shared(b), fmt.Sprintf("scrape-%s-%d", kind.name, series))
				peer := prometheus.NewRegistry()
				kind.fill(reg, peer, series)
				flush(b, reg)
				client := redistest.Shared(b).Client(b)
				for _, form := range forms {
					for _, zip := range []string{"off", "on"} {
						req := form.request(zip == "on")
						name := fmt.Sprintf("format=%s/gzip=%s/side=", form.name, zip)
						b.Run(name+"shoal", func(b *testing.B) {
							handler := reg.Handler(shoal.HandlerOpts{})
							scrape(b, handler, req) // the reader learns the series
							measured := measureServer(b, redistest.Shared(b), "hmget", series)
							b.ReportAllocs()
							for b.Loop() {
								scrape(b, handler, req)
							}
							measured()
						})
						if name == "format=text/gzip=off/side=" {
							b.Run(name+"bare", func(b *testing.B) { readBare(b, client, kind.key, series) })
						}
						b.Run(name+"promhttp", func(b *testing.B) {
							handler := promhttp.HandlerFor(peer, promhttp.HandlerOpts{})
							b.ReportAllocs()
							for b.Loop() {
								scrape(b, handler, req)
							}
						})
					}
				}
			})
		}
	}
}

func fillCounters(reg *shoal.Registry, peer *prometheus.Registry, series int) {
	names := []string{"route", "code"}
	ours := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total", Help: "Counts."}, names)
	theirs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "Counts."}, names)
	peer.MustRegister(theirs)
	for i := range series {
		route, code := fmt.Sprintf("/route/%d", i/5), fmt.Sprint(200+i%5)
		ours.WithLabelValues(route, code).Add(float64(i))
		theirs.WithLabelValues(route, code).Add(float64(i))
	}
}

func fillHistograms(reg *shoal.Registry, peer *prometheus.Registry, series int) {
	names := []string{"route", "code"}
	ours := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h_seconds", Help: "Durations."}, names)
	theirs := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h_seconds", Help: "Durations."}, names)
	peer.MustRegister(theirs)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range series {
		route, code := fmt.Sprintf("/route/%d", i/5), fmt.Sprint(200+i%5)
		for range 20 {
			took := 0.05 * rnd.ExpFloat64()
			ours.WithLabelValues(route, code).Observe(took)
			theirs.WithLabelValues(route, code).Observe(took)
		}
	}
}

// form is a format that a scraper asks for.
type form struct{ name, accept string }

var forms = []form{
	{"text", "text/plain;version=0.0.4"},
	{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
}

func (f form) request(zip bool) *http.Request {
	req, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Accept", f.accept)
	if zip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	// So that a scrape of 100,000 series on a busy machine does not time out.
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "60")
	return req
}

// sink is a response writer that discards the page and counts its bytes.
type sink struct {
	header http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(p []byte) (int, error) {
	s.size += len(p)
	return len(p), nil
}

func scrape(b *testing.B, handler http.Handler, req *http.Request) {
	w := &sink{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(w, req)
	if w.status != http.StatusOK || w.size == 0 {
		b.Fatalf("%d, %d bytes", w.status, w.size)
	}
}

// readBare reads values as a plain client would, in calls and pipelines of the same size as
// shoal's.
func readBare(b *testing.B, client *redis.Client, key string, series int) {
	ctx := context.Background()
	key = fmt.Sprintf(key, series)
	fields, err := client.HKeys(ctx, key).Result()
	if err != nil || len(fields) < series {
		b.Fatal(len(fields), err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for pipeline := range slices.Chunk(fields, 16*500) {
			pipe := client.Pipeline()
			for call := range slices.Chunk(pipeline, 500) {
				pipe.HMGet(ctx, key, call...)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
}
