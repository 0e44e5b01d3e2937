// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// passEpochs makes it seem that so many epochs of a family have passed. Epochs are counted in Redis, at
// least a minute each, and processes mark their series again when a registration tells of another one.
func (f *fleet) passEpochs(t testing.TB, family string, n int) {
	t.Helper()
	ctl := f.family(family, "ctl")
	now, _, _ := strings.Cut(f.redis.HGet(t.Context(), ctl, "epoch").Val(), " ")
	epoch, err := strconv.Atoi(now)
	testkit.Must(t, err)
	testkit.Must(t, f.redis.HSet(t.Context(), ctl, "epoch", fmt.Sprintf("%d %d", epoch+n, f.redis.Time(t.Context()).Val().Unix())).Err())
}

// bytes is what Redis needs for a family.
func (f *fleet) bytes(t testing.TB, family string) (size int64) {
	t.Helper()
	for _, part := range []string{"ctl", "v", "m"} {
		n, err := f.redis.MemoryUsage(t.Context(), f.family(family, part), 0).Result()
		if err != redis.Nil {
			testkit.Must(t, err)
		}
		size += n
	}
	return size
}

// Ten thousand tenants pass through a cap of 500, a hundred at a time: one process deletes those that
// leave, and they leave the tables of the others, which fill with them.
func TestTenants_PassThroughACapForEver(t *testing.T) {
	t.Parallel()
	f := fleetOn(t, redistest.Start(t))
	const count, batch, live, limit = 10_000, 20, 100, 500
	settings := func(o *shoal.Opts) {
		o.SeriesLimit, o.Interval, o.RefreshPeriod = limit, time.Hour, time.Hour
		o.OnError = func(err error) { t.Error(err) }
	}
	regs := []*shoal.Registry{f.process(t, settings), f.process(t, settings), f.process(t, settings)}
	var vecs []*shoal.CounterVec
	for _, reg := range regs {
		vecs = append(vecs, reg.NewCounterVec(shoal.CounterOpts{Name: "requests_total"}, []string{"tenant"}))
	}
	tenant := func(i int) string { return fmt.Sprint("tenant-", i) }
	early := int64(0)
	for i := 0; i < count; i += batch {
		for k := i; k < i+batch; k++ {
			vecs[0].WithLabelValues(tenant(k)).Inc()
			vecs[1].WithLabelValues(tenant(k)).Add(2)
			vecs[2].WithLabelValues(tenant(k)).Add(4)
		}
		for k := i - live; k >= 0 && k < i-live+batch; k++ { // a last time
			vecs[k%3].WithLabelValues(tenant(k)).Add(8)
		}
		flush(t, regs...)
		if i < live {
			continue
		}
		page := testkit.Scrape(t, regs[i%3])
		for k := i - live; k < i-live+batch; k++ {
			page.Want(t, fmt.Sprintf("requests_total{tenant=%q}", tenant(k)), "15")
			vecs[0].DeleteLabelValues(tenant(k))
		}
		if n := len(page.Of("requests_total")); n > live+batch+limit/10 {
			t.Fatalf("at tenant %d the page has %d of them", i, n)
		}
		if page.Lacks(`requests_total{tenant="shoal_overflow"}`) != nil || t.Failed() {
			t.Fatalf("at tenant %d: %q", i, page.Of("requests_total"))
		}
		switch i {
		case count / 4:
			early = f.bytes(t, "requests_total")
		case count - batch:
			if late := f.bytes(t, "requests_total"); late > early*5/4 {
				t.Errorf("Redis has %d bytes for the metric, and had %d when a quarter of the tenants had passed", late, early)
			}
		}
	}
}

// Series of versions that nobody runs leave Redis; what living processes hold stays on each page, used or
// not, though housekeeping goes on all the time and processes are killed.
func TestIdleSeries_LeaveAndHeldOnesStay(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	settings := func(o *shoal.Opts) { o.Retention = time.Hour }
	declare := func(reg *shoal.Registry, version int) *shoal.Counter {
		v := reg.NewCounterVec(shoal.CounterOpts{Name: "requests_total"}, []string{"version"})
		reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds"}, []string{"version"}).WithLabelValues(strconv.Itoa(version)) // never used
		return v.WithLabelValues(strconv.Itoa(version))
	}
	reader, store := f.reader(t), wire.NewRedis(f.redis, f.app)
	removed := wire.Removed{}
	for version := 1; version <= 12; version++ {
		reg := f.process(t, settings)
		declare(reg, version).Inc()
		flush(t, reg)
		for range 12 {
			for _, family := range []string{"requests_total", "took_seconds"} {
				f.passEpochs(t, family, 1)
			}
			f.passes(t, 120*time.Millisecond) // a refresh
			testkit.Must(t, f.redis.HDel(t.Context(), f.key("}:leases"), "housekept").Err())
			more, err := store.Housekeep(t.Context(), time.Hour, 0)
			testkit.Must(t, err)
			removed.Idle += more.Idle
			p := testkit.Scrape(t, reader)
			p.Want(t, fmt.Sprintf(`requests_total{version="%d"}`, version), "1", fmt.Sprintf(`took_seconds_count{version="%d"}`, version), "0")
			if t.Failed() {
				t.FailNow()
			}
		}
		p := testkit.Scrape(t, reader)
		p.WantSamples(t, "requests_total", 1)
		p.WantSamples(t, "took_seconds_count", 1)
		closeAll(t, reg)
	}
	if removed.Idle != 2*11 {
		t.Errorf("%d idle series were removed, want %d", removed.Idle, 2*11)
	}
}

// A series is written again and again in the moment in which housekeeping removes it. Each write is either
// in the old life or in a new one: the total goes up by one, or begins with one.
func TestIdleSeries_WrittenInTheMomentOfTheirRemovalAreNeitherLostNorDoubled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t, func(o *shoal.Opts) { o.Retention = time.Hour })
	reg.NewCounterVec(shoal.CounterOpts{Name: "events_total"}, []string{"k"}) // keeps the family; holds none of its series
	flush(t, reg)
	store := wire.NewRedis(f.redis, f.app)
	const family, writes = "events_total", 600
	ctx := testkit.Within(t)
	registered := store.Register(ctx, []wire.Registration{{
		Family: family, Writer: "w", Nonce: "n", Definition: wire.Definition{Type: wire.TypeCounter, Retention: time.Hour},
	}})[0]
	testkit.Must(t, registered.Err)
	stop, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	idle := 0
	group.Go(func() {
		for stop.Err() == nil {
			f.passEpochs(t, family, 9)
			removed, err := wire.RemoveExpired(ctx, store, family)
			testkit.Check(t, err)
			idle += removed.Idle
		}
	})
	field := wire.EncodeField([]string{"k"}, []string{"1"})
	lives, total, last := 0, 0.0, int64(0)
	for seq := uint64(1); seq <= writes; seq++ {
		reply := store.Commit(ctx, []wire.Commit{{
			Family: family, Generation: registered.Generation, Writer: "w", Prev: seq - 1, Seq: seq, Totals: true,
			Ops: []wire.Op{{Kind: wire.OpAdd, Field: field, Value: "1"}},
		}})[0]
		testkit.Must(t, reply.Err)
		got, err := strconv.ParseFloat(reply.Totals[0], 64)
		testkit.Must(t, err)
		switch {
		case got == 1:
			lives++
			starts, err := store.ReadStarts(ctx, []wire.StartsQuery{{Family: family, Generation: registered.Generation, Fields: []string{field}}})
			testkit.Must(t, err)
			if start := starts[0][0]; start != 0 && start <= last { // 0 if it was removed again
				t.Fatalf("life %d began at %d, the one before at %d", lives, start, last)
			} else if start != 0 {
				last = start
			}
		case got != total+1:
			t.Fatalf("after write %d the total is %v, and it was %v", seq, got, total)
		}
		total = got
	}
	cancel()
	group.Wait()
	if lives < 10 || lives > idle+1 {
		t.Errorf("%d lives, and %d removals", lives, idle)
	}
}
