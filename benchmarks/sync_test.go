// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkSyncAdd measures synchronous additions by one goroutine, which waits for a round
// trip each time, and by a hundred goroutines, which share round trips, on one counter and on
// one each. The other side waits for one HINCRBY each time.
func BenchmarkSyncAdd(b *testing.B) {
	ctx := context.Background()
	for _, goroutines := range []int{1, 100} {
		for _, counters := range []int{1, 100} {
			if counters > goroutines {
				continue
			}
			name := "goroutines=" + strconv.Itoa(goroutines) + "/counters=" + strconv.Itoa(counters)
			b.Run(name+"/side=shoal", func(b *testing.B) {
				reg := connected(b, redistest.Shared(b), "sync-"+app(b))
				vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"n"})
				flush(b, reg)
				share(b, goroutines, func(i int) error {
					_, err := vec.WithLabelValues(strconv.Itoa(i % counters)).IncSync(ctx)
					return err
				})
			})
		}
		b.Run("goroutines="+strconv.Itoa(goroutines)+"/counters=1/side=hincrby", func(b *testing.B) {
			client := redistest.Shared(b).Client(b)
			share(b, goroutines, func(int) error { return client.HIncrBy(ctx, "raw-sync", "c", 1).Err() })
		})
	}
}

// share calls do b.N times, spread over goroutines. The argument is the goroutine's number.
func share(b *testing.B, goroutines int, do func(i int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range goroutines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
}
