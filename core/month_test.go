// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// tenants come and go for a month in some processes: 10,000 of them, of which 100 live at once.
type tenants struct {
	t         *testing.T
	server    *memstore.Server
	processes []*Registry
	live      []string
	counted   map[string]float64 // of those that live
	most      int                // series that a page had
}

const (
	tenantsLive = 100
	tenantCap   = 500
)

// tenantCount is how many come in a month. The race detector makes a month some eight times as
// long, so with it three days pass.
func tenantCount() int {
	if raceDetector || testing.Short() {
		return 1000
	}
	return 10_000
}

var tenantOpts = Opts{
	SeriesLimit: tenantCap, Interval: time.Minute, LeaseDuration: time.Hour, RefreshPeriod: 10 * time.Minute, Retention: 2 * time.Hour,
}

// request counts something of a tenant in one of the processes.
func (x *tenants) request(process int, tenant string) {
	v := x.processes[process%3].NewCounterVec(CounterOpts{Name: "requests_total"}, []string{"tenant"})
	v.WithLabelValues(tenant).Inc()
	x.counted[tenant]++
}

func (x *tenants) start() *Registry {
	r := New()
	opts := tenantOpts
	opts.App, opts.OnError = "shop", func(err error) { x.t.Errorf("after %v: %v", time.Since(started), err) }
	if err := r.connect(opts, x.server.Store, nil); err != nil {
		x.t.Fatal(err)
	}
	return r
}

// month lets the tenants come one after the other. Each counts something in two processes when it
// comes, then less than an hour apart, and last before it leaves. leave is called when one leaves, and
// heap is the memory in use at the end of each day.
func (x *tenants) month(leave func(tenant string)) (heap []uint64) {
	defer func() {
		for _, r := range x.processes {
			_ = r.Close(x.t.Context())
		}
	}()
	for range 3 {
		x.processes = append(x.processes, x.start())
	}
	x.counted = map[string]float64{}
	const pause, day = 30 * 24 * time.Hour / 10_000, 10_000 / 30
	for i := range tenantCount() {
		tenant := fmt.Sprint("tenant-", i)
		x.live = append(x.live, tenant)
		x.request(i, tenant)
		x.request(i+1, tenant)
		for n := range 10 {
			x.request(i+n, x.live[(10*i+n)%len(x.live)])
		}
		elapse(pause)
		if len(x.live) > tenantsLive {
			oldest := x.live[0]
			x.request(i, oldest)
			elapse(2 * tenantOpts.Interval)
			x.check(oldest)
			x.live = x.live[1:]
			delete(x.counted, oldest)
			leave(oldest)
		}
		if i%day == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc)
		}
	}
	return heap
}

// check wants a page to have the whole total of a tenant that lives, and no overflow.
func (x *tenants) check(tenant string) {
	page := scrape(x.t, x.processes[0])
	if got := page[fmt.Sprintf("requests_total{tenant=%q}", tenant)]; got != x.counted[tenant] {
		x.t.Fatalf("%s has %v requests, want %v", tenant, got, x.counted[tenant])
	}
	if n, ok := page[`requests_total{tenant="shoal_overflow"}`]; ok {
		x.t.Fatalf("at %s, %v requests overflowed, with %d series", tenant, n, len(page))
	}
	x.most = max(x.most, len(page))
}

func TestMonth_DeletedTenantsLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := tenants{t: t, server: memstore.New()}
		heap := x.month(func(tenant string) { // in a process that may never have had it
			x.processes[2].NewCounterVec(CounterOpts{Name: "requests_total"}, []string{"tenant"}).DeleteLabelValues(tenant)
		})
		x.flat(heap, tenantsLive+2)
	})
}

// Nobody deletes, but processes are restarted, as by deploys.
func TestMonth_IdleTenantsLeaveWithTheProcessesThatHeldThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := tenants{t: t, server: memstore.New()}
		restarted := time.Now()
		next := 0
		heap := x.month(func(string) {
			if time.Since(restarted) < time.Hour {
				return
			}
			restarted = time.Now()
			if err := x.processes[next].Close(t.Context()); err != nil {
				t.Error(err)
			}
			x.processes[next] = x.start()
			next = (next + 1) % 3
		})
		x.flat(heap, 250)
	})
}

// flat wants the series and the memory in use not to grow with the tenants.
func (x *tenants) flat(heap []uint64, series int) {
	if x.most > series {
		x.t.Errorf("a page had %d series, want at most %d", x.most, series)
	}
	early, last := heap[len(heap)/3], heap[len(heap)-1] // numbers of ended writers are kept for a week
	x.t.Logf("at most %d series; %d kB in use after ten days, %d kB after the last", x.most, early>>10, last>>10)
	if last > early+early/4 && tenantCount() == 10_000 {
		x.t.Errorf("%d bytes in use after the last day, %d after ten", last, early)
	}
}
