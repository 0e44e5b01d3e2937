// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// connected returns a registry on the server that this package started, in an
// app of its own, flushing only when told.
func connected(b *testing.B, app string) *shoal.Registry {
	b.Helper()
	reg := shoal.New()
	opts := shoal.Opts{App: app, Interval: 1 << 40, SeriesLimit: 1_000_000}
	if err := reg.Open(redistest.Shared(b).URL(), opts); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := reg.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return reg
}

// hincrby is what a client would send that adds each counter by itself, in
// scripts of as many as a batch of shoal's holds.
var hincrby = redis.NewScript(`for i = 1, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end return 1`)

// hincrbyfloat is the same for floats.
var hincrbyfloat = redis.NewScript(`for i = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end return 1`)

const changed = 10_000

func BenchmarkFlush10000Counters(b *testing.B) {
	for _, delta := range []struct {
		name   string
		value  float64
		script *redis.Script
	}{{"integers", 1, hincrby}, {"floats", 0.1, hincrbyfloat}} {
		b.Run(delta.name+"/shoal", func(b *testing.B) {
			reg := connected(b, "flush-"+delta.name)
			vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"n"})
			children := make([]*shoal.Counter, changed)
			for i := range children {
				children[i] = vec.WithLabelValues(fmt.Sprint(i))
			}
			flush(b, reg)
			b.ReportAllocs()
			for b.Loop() {
				for _, c := range children {
					c.Add(delta.value)
				}
				flush(b, reg)
			}
		})
		b.Run(delta.name+"/raw", func(b *testing.B) {
			client := redistest.Shared(b).Client(b)
			for b.Loop() {
				rawFlush(b, client, delta.script, "raw-"+delta.name, delta.value)
			}
		})
	}
}

// rawFlush sends the same additions, 128 a script and 8 scripts a pipeline.
func rawFlush(b *testing.B, client *redis.Client, script *redis.Script, key string, value float64) {
	ctx := context.Background()
	if err := script.Load(ctx, client).Err(); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < changed; {
		pipe := client.Pipeline()
		for range 8 {
			args := make([]any, 0, 256)
			for i := from; i < min(from+128, changed); i++ {
				args = append(args, fmt.Sprint(i), value)
			}
			if from += 128; len(args) > 0 {
				script.EvalSha(ctx, pipe, []string{key}, args...)
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlush1000Histograms(b *testing.B) {
	reg := connected(b, "flush-histograms")
	vec := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h"}, []string{"n"})
	children := make([]*shoal.Histogram, 1000)
	for i := range children {
		children[i] = vec.WithLabelValues(fmt.Sprint(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, h := range children {
			h.Observe(.02)
			h.Observe(.3)
		}
		flush(b, reg)
	}
}

func flush(b *testing.B, reg *shoal.Registry) {
	if err := reg.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSyncAdds counts awaited additions of 100 goroutines, which share
// round trips, and of one, which cannot.
func BenchmarkSyncAdds(b *testing.B) {
	for _, goroutines := range []int{1, 100} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			reg := connected(b, fmt.Sprint("sync", goroutines))
			c := reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
			b.SetParallelism(max(1, goroutines/2))
			if goroutines == 1 {
				for b.Loop() {
					if _, err := c.IncSync(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.IncSync(context.Background()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
