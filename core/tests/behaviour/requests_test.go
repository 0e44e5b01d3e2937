// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// requests makes every kind of write, n times in each of four goroutines, and returns when
// all are done.
func requests(reg *shoal.Registry, n int) {
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "codes_total"}, []string{"code"})
	h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}, []string{"code"})
	s := reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	g := reg.NewGaugeVec(shoal.GaugeOpts{Name: "depth"}, []string{"code"})
	l := reg.NewGauge(shoal.GaugeOpts{Name: "last_job", Mode: shoal.Latest})
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for k := range n {
				code := fmt.Sprint(i, k%50)
				c.Inc()
				v.WithLabelValues(code).Inc()
				h.WithLabelValues(code).Observe(0.5)
				s.Observe(1)
				g.WithLabelValues(code).Set(float64(k))
				l.Set(float64(k))
				if k%100 == 99 {
					v.DeleteLabelValues(code)
				}
			}
		})
	}
	group.Wait()
}

// startLoad begins to write as requests do, until the end of the test at the latest.
func startLoad(t testing.TB, reg *shoal.Registry) *testkit.Load {
	l := testkit.StartLoad(reg, 3, 250*time.Microsecond, nil)
	t.Cleanup(func() { l.End() })
	return l
}

// wantNoLoss fails the test if a page counts lost batches.
func wantNoLoss(t *testing.T, p testkit.Page) {
	t.Helper()
	if lost := p.Sum("shoal_lost_batches_total"); lost != 0 {
		t.Errorf("%v batches are lost: %q", lost, p.Of("shoal_lost_batches_total"))
	}
}

// completes fails the test if f does not return.
func completes(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(testkit.Patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("the writes don't complete:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// Whether Redis does not answer or is gone, every write returns at once, and no goroutine is
// left waiting. core/tests/faults has the other states of Redis.
func TestTheRequestNeverNotices(t *testing.T) {
	for name, away := range map[string]struct {
		begin, end func(*redistest.Server, testing.TB)
	}{
		"frozen": {(*redistest.Server).Freeze, (*redistest.Server).Thaw},
		"killed": {func(s *redistest.Server, _ testing.TB) { s.Kill() }, (*redistest.Server).Restart},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			f := fleetOn(t, server)
			reg := f.process(t)
			requests(reg, 10)
			flush(t, reg)
			goroutines := runtime.NumGoroutine()
			away.begin(server, t)
			for range 3 {
				completes(t, func() { requests(reg, 1000) })
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if err := reg.Flush(ctx); err == nil {
					t.Error("Flush says that Redis has it")
				}
				cancel()
			}
			testkit.Eventually(t, func() error {
				if n := runtime.NumGoroutine(); n > goroutines+8 { // clients dial in the background
					return fmt.Errorf("%d goroutines, %d before", n, goroutines)
				}
				return nil
			})
			away.end(server, t)
			flush(t, reg)
			// If Redis lost its data, the process sends everything again.
			testkit.EventuallyHas(t, f.reader(t), "jobs_total", "12040", "size_bytes_count", "12040")
		})
	}
}

// While Redis is away only one value for each series gathers in memory.
func TestTheRequestNeverNotices_MemoryIsBoundedByTheSeries(t *testing.T) {
	server := redistest.Start(t)
	reg := fleetOn(t, server).process(t)
	requests(reg, 100)
	flush(t, reg)
	server.Kill()
	requests(reg, 1000)
	heap := func() uint64 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_ = reg.Flush(ctx) // freezes what there is
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 10 {
		requests(reg, 2000) // half a million writes in all
		heap()
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", before>>10, after>>10)
	}
	server.Restart(t)
}

// A family whose batch is in doubt freezes no further one, however many flushes are tried:
// what is counted meanwhile gathers in its series.
func TestTheRequestNeverNotices_NoQueueGathersWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	hasty := func(t testing.TB) redis.UniversalClient {
		return server.Client(t, impatient, func(o *redis.Options) { o.DialerRetries = 1 })
	}
	// A family that could not be verified is not even frozen.
	reg := fleetOn(t, server).with(hasty).loose(t, func(o *shoal.Opts) { o.RefreshPeriod = 25 * time.Second })
	l := startLoad(t, reg)
	flush(t, reg)
	server.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	var undelivered *shoal.UndeliveredError
	if err := reg.Close(ctx); !errors.As(err, &undelivered) { // it tries until ctx ends
		t.Fatalf("Close gives %v", err)
	}
	if l.End() == 0 || undelivered.NeverSent == 0 || undelivered.InDoubt > 20 { // a flush may have been under way
		t.Errorf("Close gives %v", undelivered)
	}
}

// A synchronous write waits no longer than its context, and its value is still delivered,
// once.
func TestTheRequestNeverNotices_SynchronousCallersKeepTheirDeadlines(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth"})
	_, err := c.IncSync(testkit.Within(t))
	testkit.Must(t, err)
	server.Freeze(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, added := c.IncSync(ctx)
		for _, err := range []error{added, g.SetSync(ctx, 5)} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller gets %v", err)
			}
		}
		cancel()
	}
	server.Thaw(t)
	testkit.EventuallyHas(t, f.reader(t), "jobs_total", "21", `depth{gauge_index="0"}`, "5")
}
