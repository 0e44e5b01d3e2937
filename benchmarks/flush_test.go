// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// What a client would send that adds to each counter by a command of its own: scripts with as many
// commands as a batch of shoal's has counters, in pipelines of the same length.
var (
	hincrby      = redis.NewScript(`for i = 1, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end return 1`)
	hincrbyfloat = redis.NewScript(`for i = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end return 1`)
)

const (
	chunk     = 256 // counters a script
	pipelined = 32  // scripts a pipeline
)

// BenchmarkFlush sends changed series, all of which Redis already has. The series have the
// labels of a middleware, and both sides use the same hash fields. The report runs the
// benchmarks in rounds, so that the sides alternate: see docs/performance.md.
func BenchmarkFlush(b *testing.B) {
	for _, counters := range []int{100, 1_000, 10_000} {
		b.Run("counters="+strconv.Itoa(counters), func(b *testing.B) {
			flushBoth(b, redistest.Shared(b), counters)
		})
	}
	b.Run("histograms=1000/side=shoal", func(b *testing.B) { flushHistograms(b, redistest.Shared(b), 1000) })
}

// BenchmarkFlushPersisted is the same for a server with an append-only file. A server writes to it
// the same commands that it would send to a replica.
func BenchmarkFlushPersisted(b *testing.B) {
	server := redistest.Start(b, "--appendonly", "yes", "--appendfsync", "everysec")
	b.Run("counters=10000", func(b *testing.B) { flushBoth(b, server, 10_000) })
}

func flushBoth(b *testing.B, server *redistest.Server, counters int) {
	for _, delta := range []struct {
		name   string
		value  float64
		peer   string
		script *redis.Script
	}{{"integers", 1, "hincrby", hincrby}, {"floats", 0.1, "hincrbyfloat", hincrbyfloat}} {
		b.Run("delta="+delta.name+"/side=shoal", func(b *testing.B) { flushCounters(b, server, counters, delta.value) })
		b.Run("delta="+delta.name+"/side="+delta.peer, func(b *testing.B) {
			flushRaw(b, server, counters, delta.script, strconv.FormatFloat(delta.value, 'g', -1, 64))
		})
	}
}

func flushCounters(b *testing.B, server *redistest.Server, counters int, delta float64) {
	reg := connected(b, server, "flush-"+app(b))
	vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"code", "method", "route"})
	children := make([]*shoal.Counter, counters)
	for i := range children {
		children[i] = vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(i))
		children[i].Add(delta)
	}
	flush(b, reg)
	b.ReportAllocs()
	measured := measureServer(b, server, "evalsha", counters)
	for b.Loop() {
		b.StopTimer()
		for _, c := range children {
			c.Add(delta)
		}
		b.StartTimer()
		flush(b, reg)
	}
	measured()
}

// flushRaw sends bare commands. Their arguments are made beforehand, which a real client could not
// do.
func flushRaw(b *testing.B, server *redistest.Server, counters int, script *redis.Script, delta string) {
	ctx := context.Background()
	client := server.Client(b)
	keys := []string{"raw-" + app(b)}
	var scripts [][]any
	for from := 0; from < counters; from += chunk {
		var args []any
		for i := from; i < min(from+chunk, counters); i++ {
			args = append(args, "code\xff200\xffmethod\xffGET\xffroute\xff/items/"+strconv.Itoa(i), delta)
		}
		scripts = append(scripts, args)
	}
	if err := script.Load(ctx, client).Err(); err != nil {
		b.Fatal(err)
	}
	send := func() {
		for from := 0; from < len(scripts); from += pipelined {
			pipe := client.Pipeline()
			for _, args := range scripts[from:min(from+pipelined, len(scripts))] {
				script.EvalSha(ctx, pipe, keys, args...)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	send()
	b.ReportAllocs()
	measured := measureServer(b, server, "evalsha", counters)
	for b.Loop() {
		send()
	}
	measured()
}

func flushHistograms(b *testing.B, server *redistest.Server, histograms int) {
	reg := connected(b, server, "flush-histograms")
	vec := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h"}, []string{"code", "method", "route"})
	children := make([]*shoal.Histogram, histograms)
	for i := range children {
		children[i] = vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(i))
		for _, bound := range append(shoal.DefBuckets, 100) {
			children[i].Observe(bound)
		}
	}
	flush(b, reg)
	b.ReportAllocs()
	measured := measureServer(b, server, "evalsha", histograms)
	for b.Loop() {
		b.StopTimer()
		for _, h := range children {
			h.Observe(.02)
			h.Observe(.3)
		}
		b.StartTimer()
		flush(b, reg)
	}
	measured()
}

// app names a benchmark where slashes are not allowed.
func app(b *testing.B) string { return strings.ReplaceAll(b.Name(), "/", "-") }
