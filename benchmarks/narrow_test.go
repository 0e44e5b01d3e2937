// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkNarrowLine changes 8,000 series every 10 s, as a job does that goes over all customers.
// To send them takes two thirds of that time on the line. It tells how many flushes fail in a
// minute, and the longest time until Redis had all of a change: in seconds, and beside the time
// that the line needs for as many bytes. What comes before does not count: the first
// change makes the series, and in the first one on the narrow line the writer finds out what it
// carries.
func BenchmarkNarrowLine(b *testing.B) {
	const (
		series  = 8000
		period  = 10 * time.Second
		changes = 4
	)
	server := redistest.Start(b)
	client := server.Client(b)
	line := redistest.StartLine(b, server.Addr, 0, 0)
	reg := open(b, line.URL(), shoal.Opts{App: "narrow", OnError: func(error) {}})
	vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"code", "method", "route"})
	done := 0
	change := func() {
		for i := range series {
			vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(i)).Inc()
		}
		done++
	}
	change()
	flush(b, reg)
	wide := line.Sent.Load()
	change()
	flush(b, reg)
	payload := line.Sent.Load() - wide
	needs := period * 2 / 3 // for a change
	line.Narrow(int(float64(payload) / needs.Seconds()))
	change()
	flush(b, reg)
	failed := failedFlushes(b, client)
	var late time.Duration
	begin := time.Now()
	for b.Loop() {
		for range changes {
			next := time.Now().Add(period)
			change()
			late = max(late, untilStored(b, client, done*series))
			time.Sleep(time.Until(next))
		}
	}
	minutes := time.Since(begin).Minutes()
	flush(b, reg)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((failedFlushes(b, client)-failed)/minutes, "failures/min")
	b.ReportMetric(late.Seconds(), "s-late")
	b.ReportMetric(float64(late)/float64(needs), "late-over-line")
}

// untilStored returns how long it takes until the series of the app narrow add up to sum.
func untilStored(b *testing.B, client *redis.Client, sum int) time.Duration {
	b.Helper()
	begin := time.Now()
	for {
		all, err := client.HGetAll(context.Background(), "shoal:1:{narrow/c_total}:v").Result()
		if err != nil {
			b.Fatal(err)
		}
		found := 0
		for _, value := range all {
			if n, err := strconv.Atoi(value); err == nil { // else the generation
				found += n
			}
		}
		if found >= sum {
			return time.Since(begin)
		}
		if time.Since(begin) > 2*time.Minute {
			b.Fatalf("Redis has %d of %d", found, sum)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// failedFlushes reads how many flushes of the app narrow failed. The last ones count only after
// a flush.
func failedFlushes(b *testing.B, client *redis.Client) float64 {
	b.Helper()
	n, err := client.HGet(context.Background(), "shoal:1:{narrow/shoal_flush_failures_total}:v", "").Float64()
	if err != nil && err != redis.Nil {
		b.Fatal(err)
	}
	return n
}
