// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// farAway is how much longer a round trip takes on the lines of the benchmarks: Redis is in
// another region, or behind a VPN.
const farAway = 20 * time.Millisecond

// magnitudes are how many of something there are, to show how the cost grows.
var magnitudes = []int{10, 100, 1000, 10_000}

// declareFamilies declares counters without labels.
func declareFamilies(reg *shoal.Registry, families int) []*shoal.Counter {
	counters := make([]*shoal.Counter, families)
	for i := range counters {
		counters[i] = reg.NewCounter(shoal.CounterOpts{Name: "family_" + strconv.Itoa(i) + "_total", Help: "Counts."})
	}
	return counters
}

// open connects a registry with these options, and closes it at the end.
func open(b *testing.B, url string, opts shoal.Opts) *shoal.Registry {
	b.Helper()
	reg := shoal.New()
	reopen(b, reg, url, opts)
	return reg
}

// reopen is open for a registry that has metrics.
func reopen(b *testing.B, reg *shoal.Registry, url string, opts shoal.Opts) {
	b.Helper()
	if opts.OnError == nil {
		opts.OnError = func(err error) { b.Log(err) }
	}
	if err := reg.Open(url, opts); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeIn(b, reg, time.Minute) })
}

// BenchmarkFlushFamilies sends one changed series of each of many families, all of which Redis
// has.
func BenchmarkFlushFamilies(b *testing.B) {
	for _, families := range magnitudes {
		b.Run("families="+strconv.Itoa(families), func(b *testing.B) {
			reg := connected(b, redistest.Shared(b), fmt.Sprintf("flush-families-%d", families))
			counters := declareFamilies(reg, families)
			// The batches that are kept for a step back of Redis are bounded: fill that.
			for range min(3+200_000/families, 500) {
				for _, c := range counters {
					c.Inc()
				}
				flush(b, reg)
			}
			b.ReportAllocs()
			measured := measureServer(b, redistest.Shared(b), "evalsha", families)
			for b.Loop() {
				b.StopTimer()
				for _, c := range counters {
					c.Inc()
				}
				b.StartTimer()
				flush(b, reg)
			}
			measured()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(families), "family-ns")
		})
	}
}
