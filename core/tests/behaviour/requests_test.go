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
)

// requests does everything that a request may do, n times in each of several
// goroutines, and returns when all are done.
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

// completes fails the test if f does not return.
func completes(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("the writes don't complete:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// The promise that the request never notices: whatever state Redis is in,
// every write completes, and no goroutine is left waiting for it.
func TestTheRequestNeverNotices(t *testing.T) {
	for name, away := range map[string]struct {
		begin, end func(*testing.T, *redistest.Server)
	}{
		"frozen": {
			func(t *testing.T, s *redistest.Server) { s.Freeze(t) },
			func(t *testing.T, s *redistest.Server) { s.Thaw(t) },
		},
		"killed": {
			func(_ *testing.T, s *redistest.Server) { s.Kill() },
			func(t *testing.T, s *redistest.Server) { s.Restart(t) },
		},
		"out of memory": {
			func(t *testing.T, s *redistest.Server) { configure(t, s, "maxmemory", "1") },
			func(t *testing.T, s *redistest.Server) { configure(t, s, "maxmemory", "0") },
		},
		"refusing": {
			func(t *testing.T, s *redistest.Server) {
				client := s.Client(t)
				err := errors.Join(client.ConfigSet(t.Context(), "requirepass", "x").Err(),
					client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
				if err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, s *redistest.Server) {
				client := s.Client(t, func(o *redis.Options) { o.Password = "x" })
				if err := client.ConfigSet(t.Context(), "requirepass", "").Err(); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			f := fleetOn(t, server)
			reg := f.process(t)
			requests(reg, 10)
			flush(t, reg)
			goroutines := runtime.NumGoroutine()
			away.begin(t, server)
			for range 3 {
				completes(t, func() { requests(reg, 1000) })
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if err := reg.Flush(ctx); err == nil {
					t.Error("Flush says that Redis has it")
				}
				cancel()
			}
			eventually(t, func() error {
				if n := runtime.NumGoroutine(); n > goroutines+8 { // clients dial in the background
					return fmt.Errorf("%d goroutines, %d before", n, goroutines)
				}
				return nil
			})
			away.end(t, server)
			flush(t, reg)
			want := "12040" // where Redis is empty now, it is given everything again
			eventuallyPage(t, f.reader(t), func(p page) error {
				return errors.Join(p.has("jobs_total", want), p.has("size_bytes_count", want))
			})
		})
	}
}

func configure(t *testing.T, s *redistest.Server, name, value string) {
	t.Helper()
	if err := s.Client(t).ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// Nothing gathers while Redis is away but one value for each series.
func TestTheRequestNeverNotices_MemoryIsBoundedByTheSeries(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
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
		requests(reg, 2000) // half a million writes
		heap()
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", before>>10, after>>10)
	}
	server.Restart(t)
}

// A family that has a batch on its way freezes no other one, however often it
// is tried: what is counted meanwhile gathers in its series.
func TestTheRequestNeverNotices_NoQueueGathersWhileRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	reg := shoal.New()
	opts := fleetOn(t, server).quick()
	opts.RefreshPeriod = 25 * time.Second // what can't be verified is not even frozen
	hasty := func(o *redis.Options) { o.DialerRetries = 1 }
	if err := reg.Connect(server.Client(t, impatient, hasty), opts); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, reg)
	flush(t, reg)
	server.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	var undelivered *shoal.UndeliveredError
	if err := reg.Close(ctx); !errors.As(err, &undelivered) { // it tries all the time
		t.Fatalf("Close gives %v", err)
	}
	if l.end() == 0 || undelivered.Series == 0 || undelivered.Batches > 20 { // some 16 families
		t.Errorf("%d batches and %d series wait", undelivered.Batches, undelivered.Series)
	}
}

// A caller who waits for Redis waits no longer than its context, and what it
// wrote is still delivered, once.
func TestTheRequestNeverNotices_SynchronousCallersKeepTheirDeadlines(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	g := reg.NewGauge(shoal.GaugeOpts{Name: "depth"})
	if _, err := c.IncSync(within(t)); err != nil {
		t.Fatal(err)
	}
	server.Freeze(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		if _, err := c.IncSync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("IncSync gives %v", err)
		}
		if err := g.SetSync(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SetSync gives %v", err)
		}
		cancel()
	}
	server.Thaw(t)
	eventuallyPage(t, f.reader(t), func(p page) error {
		return errors.Join(p.has("jobs_total", "21"), p.has(`depth{gauge_index="0"}`, "5"))
	})
}
