// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkEachProcess reads the pages of ten processes that share 10,000
// counters and have two gauges each: the page of all, that of the process
// that shows the shared series, and that of one which does not.
func BenchmarkEachProcess(b *testing.B) {
	const processes, series = 10, 10_000
	server := redistest.Shared(b)
	fleet := startFleet(b, server, "each", processes, func(i int, reg *shoal.Registry) {
		if i == 0 {
			fillCounters(reg, prometheus.NewRegistry(), series)
		}
		reg.NewGauge(shoal.GaugeOpts{Name: "requests_in_flight"}).Set(float64(i))
		reg.NewGauge(shoal.GaugeOpts{Name: "goroutines"}).Set(float64(i))
	})
	flushAll(b, fleet)
	for i, page := range []struct {
		name string
		opts shoal.HandlerOpts
	}{
		{"all", shoal.HandlerOpts{}},
		{"shared", shoal.HandlerOpts{EachProcess: true, SharedInstance: "each"}},
		{"own", shoal.HandlerOpts{EachProcess: true, SharedInstance: "each"}},
	} {
		b.Run("page="+page.name, func(b *testing.B) {
			handler, req := fleet[i].Handler(page.opts), forms[0].request(false)
			scrape(b, handler, req) // the reader learns the series; the first that is asked shows the shared ones
			client := server.Client(b)
			sent, calls := trafficOf(b, client)
			b.ReportAllocs()
			for b.Loop() {
				scrape(b, handler, req)
			}
			sentAfter, callsAfter := trafficOf(b, client)
			b.ReportMetric((sentAfter-sent)/float64(b.N), "redis-B/op")
			b.ReportMetric((callsAfter-calls)/float64(b.N), "redis-calls/op")
		})
	}
}

// trafficOf is how many bytes a server has sent, and how many commands it has executed.
func trafficOf(b *testing.B, client *redis.Client) (sent, calls float64) {
	b.Helper()
	info, err := client.Info(b.Context(), "stats").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "total_net_output_bytes":
			sent = n
		case "total_commands_processed":
			calls = n
		}
	}
	return sent, calls
}
