// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkNewSeries creates 10,000 series in one flush, and tells for how long the calls block
// Redis: half of the calls that take more than 100 µs, nine of ten, and the longest, which may
// have waited for a core of a busy machine.
func BenchmarkNewSeries(b *testing.B) {
	const series = 10_000
	for _, kind := range []struct {
		name           string
		labels, length int
	}{{"short", 3, 8}, {"long", 8, 40}} {
		b.Run("labels="+kind.name, func(b *testing.B) {
			server := redistest.Start(b)
			var names []string
			for i := range kind.labels {
				names = append(names, fmt.Sprintf("label_%d", i))
			}
			var calls []time.Duration
			for round := 0; b.Loop(); round++ {
				calls = append(calls, blocks(b, server, func() {
					reg := connected(b, server, fmt.Sprintf("new-series-%d", round))
					vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, names)
					for i := range series {
						values := make([]string, kind.labels)
						for k := range values {
							values[k] = fmt.Sprintf("%0*d", kind.length, i*kind.labels+k)
						}
						vec.WithLabelValues(values...).Inc()
					}
					flush(b, reg)
				})...)
			}
			reportCalls(b, calls)
		})
	}
}

// BenchmarkDelete registers a family whose series are lost, which removes its control hash. That
// has the sequence numbers of so many processes. It tells for how long the longest call blocks
// Redis.
func BenchmarkDelete(b *testing.B) {
	for _, writers := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			server := redistest.Start(b)
			var calls []time.Duration
			for round := 0; b.Loop(); round++ {
				app := fmt.Sprintf("delete-%d", round)
				storeWriters(b, server, "shoal:1:{"+app+"/c_total}:ctl", writers)
				calls = append(calls, blocks(b, server, func() {
					reg := connected(b, server, app)
					reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
					flush(b, reg)
				})...)
				if left := server.Client(b).HLen(context.Background(), "shoal:1:{"+app+"/c_total}:ctl").Val(); left > 100 {
					b.Fatalf("the control hash still has %d fields", left)
				}
			}
			reportCalls(b, calls)
		})
	}
}

// storeWriters stores a control hash without a generation.
func storeWriters(b *testing.B, server *redistest.Server, key string, writers int) {
	b.Helper()
	client := server.Client(b)
	for from := 0; from < writers; from += 10_000 {
		var fields []any
		for i := range 10_000 {
			fields = append(fields, fmt.Sprintf("w:%020d", from+i), "1 1795437613")
		}
		if err := client.HSet(context.Background(), key, fields...).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// blocks returns for how long the scripts that work calls block the server, those of more than
// 100 µs, and at least the longest of the shorter ones.
func blocks(b *testing.B, server *redistest.Server, work func()) (calls []time.Duration) {
	b.Helper()
	ctx := context.Background()
	client := server.Client(b)
	for name, value := range map[string]string{"slowlog-log-slower-than": "0", "slowlog-max-len": "10000"} {
		if err := client.ConfigSet(ctx, name, value).Err(); err != nil {
			b.Fatal(err)
		}
	}
	if err := client.Do(ctx, "SLOWLOG", "RESET").Err(); err != nil {
		b.Fatal(err)
	}
	work()
	logged, err := client.SlowLogGet(ctx, 10_000).Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range logged {
		if len(c.Args) > 0 && strings.HasPrefix(strings.ToLower(c.Args[0]), "eval") {
			calls = append(calls, c.Duration)
		}
	}
	slices.Sort(calls)
	short, _ := slices.BinarySearch(calls, 100*time.Microsecond)
	return calls[min(short, len(calls)-1):]
}

func reportCalls(b *testing.B, calls []time.Duration) {
	b.Helper()
	slices.Sort(calls)
	at := func(share float64) float64 { return float64(calls[int(share*float64(len(calls)-1))].Nanoseconds()) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(.5), "median-call-ns")
	b.ReportMetric(at(.9), "p90-call-ns")
	b.ReportMetric(at(1), "longest-call-ns")
}
