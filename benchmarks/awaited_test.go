// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkAwaitedAdd makes awaited additions over a line of 20 ms, one after another, while the
// process refreshes many families, or while some process of the app does the housekeeping. It
// tells the longest wait, in time and in round trips of the line, and the usual one.
func BenchmarkAwaitedAdd(b *testing.B) {
	for _, families := range []int{300, 1000} {
		name := "/families=" + strconv.Itoa(families)
		b.Run("during=refresh"+name, func(b *testing.B) { addDuringRefresh(b, families) })
		b.Run("during=housekeeping"+name, func(b *testing.B) { addDuringHousekeeping(b, families) })
	}
}

// addDuringRefresh refreshes every 6 s in place of 30 s, and watches for two of these periods.
func addDuringRefresh(b *testing.B, families int) {
	const period = 6 * time.Second
	line := redistest.StartLine(b, redistest.Shared(b).Addr, farAway, 0)
	reg := shoal.New()
	for _, c := range declareFamilies(reg, families) {
		c.Inc()
	}
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(1)
	awaited := reg.NewCounter(shoal.CounterOpts{Name: "awaited_total"})
	reopen(b, reg, line.URL(), shoal.Opts{App: fmt.Sprintf("refresh-%d", families), RefreshPeriod: period})
	flush(b, reg)
	var all waits
	for b.Loop() {
		all.addUntil(b, awaited, 10*time.Millisecond, func(since time.Duration) bool { return since > 2*period })
	}
	all.report(b)
}

// addDuringHousekeeping has so many processes that one of them does the housekeeping soon: each
// asks for it at some moment of its first 10 minutes. Each family has the sequence numbers of 200
// processes, one of them so old that housekeeping removes it. It tells in how many of a hundred
// families that happened within 40 s of the begin of the turn, and how much longer the longest
// wait is than the longest of 8 s before: a busy machine lengthens both.
func addDuringHousekeeping(b *testing.B, families int) {
	const processes, quietTime, patience = 150, 8 * time.Second, 40 * time.Second
	server := redistest.Shared(b)
	app := fmt.Sprintf("housekeeping-%d", families)
	writer := connected(b, server, app)
	for _, c := range declareFamilies(writer, families) {
		c.Inc()
	}
	flush(b, writer)
	old := oldNumbers{b, server.Client(b), app, families}
	line := redistest.StartLine(b, server.Addr, farAway, 0)
	awaited := make([]*shoal.Counter, processes)
	for i := range awaited {
		reg := open(b, line.URL(), shoal.Opts{App: app})
		awaited[i] = reg.NewCounter(shoal.CounterOpts{Name: "awaited_total"})
		flush(b, reg)
	}
	var quiet, all waits
	left := 0
	for b.Loop() {
		old.store()
		old.housekept(strconv.FormatInt(time.Now().UnixMilli(), 10)) // so that nobody has the turn
		var calm sync.WaitGroup
		for _, c := range awaited {
			calm.Go(func() {
				quiet.addUntil(b, c, 200*time.Millisecond, func(since time.Duration) bool { return since > quietTime })
			})
		}
		calm.Wait()
		// The last turn was long enough ago, and not so long that the next one is late.
		last := strconv.FormatInt(time.Now().Add(-15*time.Minute).UnixMilli(), 10)
		old.housekept(last)
		var ended atomic.Bool
		var group sync.WaitGroup
		for _, c := range awaited {
			group.Go(func() {
				all.addUntil(b, c, 200*time.Millisecond, func(time.Duration) bool { return ended.Load() })
			})
		}
		for old.lastTurn() == last {
			time.Sleep(20 * time.Millisecond)
		}
		for turn := time.Now(); old.left() > 0 && time.Since(turn) < patience; {
			time.Sleep(200 * time.Millisecond)
		}
		left += old.left()
		ended.Store(true)
		group.Wait()
	}
	all.report(b)
	b.ReportMetric(max(0, float64(all.longest()-quiet.longest())/float64(farAway)), "stall-trips")
	b.ReportMetric(100-100*float64(left)/float64(families*b.N), "%-done")
}

// oldNumbers are sequence numbers of processes of the past, in the control hashes of families.
type oldNumbers struct {
	b        *testing.B
	client   *redis.Client
	app      string
	families int
}

const oldNumber = "w:0000000000000000old"

func (o oldNumbers) each(do func(pipe redis.Pipeliner, key string)) []redis.Cmder {
	o.b.Helper()
	pipe := o.client.Pipeline()
	for i := range o.families {
		do(pipe, "shoal:1:{"+o.app+"/family_"+strconv.Itoa(i)+"_total}:ctl")
	}
	replies, err := pipe.Exec(context.Background())
	if err != nil {
		o.b.Fatal(err)
	}
	return replies
}

func (o oldNumbers) store() {
	now := time.Now()
	fields := []any{oldNumber, fmt.Sprintf("1 %d", now.Add(-8*24*time.Hour).Unix())}
	for i := range 200 {
		fields = append(fields, fmt.Sprintf("w:%020d", i), fmt.Sprintf("1 %d", now.Unix()))
	}
	o.each(func(pipe redis.Pipeliner, key string) { pipe.HSet(context.Background(), key, fields...) })
}

// left is in how many families an old number is left.
func (o oldNumbers) left() (n int) {
	for _, reply := range o.each(func(pipe redis.Pipeliner, key string) { pipe.HExists(context.Background(), key, oldNumber) }) {
		if reply.(*redis.BoolCmd).Val() {
			n++
		}
	}
	return n
}

// housekept stores when the last turn began.
func (o oldNumbers) housekept(at string) {
	if err := o.client.HSet(context.Background(), "shoal:1:{"+o.app+"}:leases", "housekept", at).Err(); err != nil {
		o.b.Fatal(err)
	}
}

func (o oldNumbers) lastTurn() string {
	return o.client.HGet(context.Background(), "shoal:1:{"+o.app+"}:leases", "housekept").Val()
}

// waits are those of awaited additions.
type waits struct {
	mu   sync.Mutex
	list []time.Duration // guarded by mu
}

// addUntil adds 1 again and again, with pauses, until ended says so.
func (w *waits) addUntil(b *testing.B, c *shoal.Counter, pause time.Duration, ended func(since time.Duration) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for first := time.Now(); !ended(time.Since(first)); time.Sleep(pause) {
		begin := time.Now()
		if _, err := c.AddSync(ctx, 1); err != nil {
			b.Error(err)
			return
		}
		w.mu.Lock()
		w.list = append(w.list, time.Since(begin))
		w.mu.Unlock()
	}
}

func (w *waits) longest() time.Duration { return slices.Max(w.list) }

func (w *waits) report(b *testing.B) {
	slices.Sort(w.list)
	longest := w.longest()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(longest.Nanoseconds()), "longest-wait-ns")
	b.ReportMetric(float64(longest)/float64(farAway), "longest-trips")
	b.ReportMetric(float64(w.list[len(w.list)/2].Nanoseconds()), "median-wait-ns")
}
