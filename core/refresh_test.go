// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// distant is a store that is a round trip away. It counts the round trips by which families are
// registered and gauges sent.
type distant struct {
	wire.Store
	trips atomic.Int64

	mu         sync.Mutex
	registered map[string][]time.Time // when each family was; guarded by mu
	gauges     []time.Time            // when calls of gauges came; guarded by mu
}

const roundTrip20 = 20 * time.Millisecond

func (d *distant) Register(ctx context.Context, regs []wire.Registration) []wire.RegisterReply {
	for range (len(regs) + 255) / 256 { // see wire.Redis
		time.Sleep(roundTrip20)
		d.trips.Add(1)
	}
	d.mu.Lock()
	for _, r := range regs {
		d.registered[r.Family] = append(d.registered[r.Family], time.Now())
	}
	d.mu.Unlock()
	return d.Store.Register(ctx, regs)
}

func (d *distant) WriteGauges(ctx context.Context, writes []wire.GaugeWrite) []wire.GaugeWritten {
	time.Sleep(roundTrip20)
	d.trips.Add(1)
	d.mu.Lock()
	d.gauges = append(d.gauges, time.Now())
	d.mu.Unlock()
	return d.Store.WriteGauges(ctx, writes)
}

func (d *distant) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	time.Sleep(roundTrip20)
	return d.Store.Commit(ctx, commits)
}

func (d *distant) Hold(ctx context.Context, req wire.HoldRequest) (wire.HoldReply, error) {
	time.Sleep(roundTrip20)
	return d.Store.Hold(ctx, req)
}

func (d *distant) Lineage(ctx context.Context) (string, error) {
	time.Sleep(roundTrip20)
	return d.Store.Lineage(ctx)
}

// manyFamilies is a process with so many counters, the first of which is returned, and 10,000
// gauges in one family, 20 ms away from Redis.
func manyFamilies(t *testing.T, families int) (*Counter, *distant, *Registry) {
	d := &distant{registered: map[string][]time.Time{}}
	r := New()
	first := r.NewCounter(CounterOpts{Name: "first_total"})
	for n := range families - 1 {
		r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", n)}).Inc()
	}
	gauges := r.NewGaugeVec(GaugeOpts{Name: "g"}, []string{"n"})
	for n := range 10_000 {
		gauges.WithLabelValues(fmt.Sprint(n)).Set(1)
	}
	newStore := func(app string) wire.Store {
		d.Store = memstore.New().Store(app)
		return d
	}
	if err := r.connect(Opts{App: "shop", Host: "here", SeriesLimit: 20_000, OnError: func(err error) { t.Error(err) }}, newStore, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return first, d, r
}

func TestRefresh_NoSynchronousWriteWaitsForMoreThanTwoRoundTripsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d, r := manyFamilies(t, 1_000)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		most, longest := int64(0), time.Duration(0)
		for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(3 * time.Millisecond) {
			begun, before := time.Now(), d.trips.Load()
			if _, err := c.AddSync(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			most, longest = max(most, d.trips.Load()-before), max(longest, time.Since(begun))
		}
		t.Logf("a write took %v at most, and %d round trips of the refresh", longest, most)
		if most > 2 {
			t.Errorf("a write waited for %d round trips of the refresh", most)
		}
	})
}

func TestRefresh_IsSpreadOverThePeriodAndAsksForEachFamilyOnceInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const families = 1_000
		_, d, r := manyFamilies(t, families)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(2 * DefRefreshPeriod) // the first round begins early
		d.mu.Lock()
		clear(d.registered)
		d.gauges = nil
		d.mu.Unlock()
		const periods = 10
		elapse(periods * DefRefreshPeriod)
		d.mu.Lock()
		defer d.mu.Unlock()
		bySecond := map[time.Time]int{}
		for name, times := range d.registered {
			if n := len(times); n < periods || n > periods*5/4+1 {
				t.Errorf("%s was asked for %d times in %d periods", name, n, periods)
			}
			for _, gap := range gaps(times) {
				if gap > DefRefreshPeriod*6/5 || gap < DefRefreshPeriod/2 {
					t.Errorf("%s was asked for after %v", name, gap)
				}
			}
			for _, at := range times {
				bySecond[at.Truncate(time.Second)]++
			}
		}
		if n := len(d.registered); n < families {
			t.Errorf("%d of %d families were asked for", n, families)
		}
		for at, n := range bySecond {
			if n > refreshPart {
				t.Errorf("%d families were asked for in the second of %v", n, at)
			}
		}
		for _, gap := range gaps(d.gauges) {
			if gap > DefRefreshPeriod {
				t.Errorf("gauges were sent %v after the last", gap)
			}
		}
	})
}

func TestRefresh_AsksForEverythingAtOnceAfterTroubleWhereTheLineageIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.HideLineage(true)
		r := process(t, server, Opts{})
		for n := range 1_000 {
			r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", n)})
		}
		elapse(3 * DefRefreshPeriod)
		j := journalOf(server)
		j.intervene(away)
		elapse(10 * time.Second)
		j.intervene(nil)
		j.forget()
		elapse(maxBackoff + 2*time.Second + DefLeaseDuration/2)
		for n := range 1_000 {
			if got := j.count(fmt.Sprintf("%s c%d_total", memstore.OpRegister, n)); got == 0 {
				t.Fatalf("c%d_total was not asked for", n)
			}
		}
	})
}

func TestFlushRun_ADeployRegistersItsFamiliesInFewRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, d, r := manyFamilies(t, 1_000)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%v and %d round trips", time.Since(begun), d.trips.Load())
		if n := d.trips.Load(); n > 16 {
			t.Errorf("%d round trips", n)
		}
	})
}
