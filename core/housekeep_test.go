// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// slowTurns is a store on which each turn of the housekeeping takes long, and removes three series.
type slowTurns struct {
	wire.Store
	long  time.Duration
	begun chan struct{}
}

func (s slowTurns) Housekeep(ctx context.Context, _, _ time.Duration) (wire.Removed, error) {
	s.begun <- struct{}{}
	select {
	case <-time.After(s.long):
		return wire.Removed{Idle: 3}, nil
	case <-ctx.Done():
		return wire.Removed{}, ctx.Err()
	}
}

// inATurn is a process in whose turn the caller is. It has a counter.
func inATurn(t *testing.T, server *memstore.Server, long time.Duration, opts Opts) (*Registry, *Counter) {
	t.Helper()
	r, begun := New(), make(chan struct{}, 10)
	c := r.NewCounter(CounterOpts{Name: "c_total"})
	opts.App = "shop"
	if err := r.connect(opts, func(app string) wire.Store { return slowTurns{server.Store(app), long, begun} }, nil); err != nil {
		t.Fatal(err)
	}
	<-begun
	return r, c
}

func TestHousekeeping_KeepsNoWriteWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r, c := inATurn(t, server, housekeepTime-time.Second, Opts{})
		begin := time.Now()
		if total, err := c.AddSync(t.Context(), 2); total != 2 || err != nil || time.Since(begin) > 0 {
			t.Errorf("an awaited add got %v, %v after %v", total, err, time.Since(begin))
		}
		j := journalOf(server)
		busy(c, time.Minute)
		if commits, renewals := j.count(commitC), j.count(memstore.OpHold); commits < 50 || renewals < 10 {
			t.Errorf("within a minute of the turn %d flushes and %d heartbeats", commits, renewals)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHousekeeping_ATurnOnASlowLineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, heard := memstore.New(), new(troubles)
		r, _ := inATurn(t, server, housekeepTime-time.Second, Opts{OnError: heard.add})
		elapse(housekeepTime)
		if page := get(t, r.Handler(HandlerOpts{}), nil); !strings.Contains(page, `shoal_removed_series_total{reason="idle"} 3`) {
			t.Errorf("what the turn removed is not counted, %v:\n%s", heard.all(), page)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHousekeeping_EndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which wants all goroutines to end
		heard := new(troubles)
		r, c := inATurn(t, memstore.New(), time.Hour, Opts{OnError: heard.add})
		c.Inc()
		begin := time.Now()
		if err := r.Close(t.Context()); err != nil || time.Since(begin) > 0 {
			t.Errorf("Close: %v after %v", err, time.Since(begin))
		}
		if list := heard.all(); len(list) > 0 {
			t.Errorf("reported: %v", list)
		}
	})
}

func TestHousekeeping_OneProcessDoesItForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		const processes, hours = 20, 2
		for range processes {
			process(t, server, Opts{Interval: time.Minute, LeaseDuration: 10 * time.Minute, RefreshPeriod: 50 * time.Second})
		}
		elapse(hours * time.Hour)
		if n := j.count(memstore.OpHousekeep); n < processes*hours*2 {
			t.Errorf("%d processes asked %d times in %d hours whose turn it is", processes, n, hours)
		}
		turns := j.times(memstore.OpPrune)
		if len(turns) < hours*3 {
			t.Errorf("housekeeping took place %d times in %d hours", len(turns), hours)
		}
		for _, gap := range gaps(turns) {
			if gap < housekeepTime {
				t.Errorf("housekeeping took place %v after the last", gap)
			}
		}
	})
}

func TestHousekeeping_ADeathInTheMiddleOfItOnlyDelaysIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		j := journalOf(server)
		process(t, server, Opts{})
		process(t, server, Opts{})
		died := time.Time{}
		j.intervene(only(memstore.OpPrune, func(string) error {
			if died.IsZero() {
				died = time.Now()
				return errBroken
			}
			return nil
		}))
		elapse(2 * time.Hour)
		turns := j.times(memstore.OpPrune)
		if died.IsZero() || len(turns) < 2 {
			t.Fatalf("housekeeping took place %d times in two hours", len(turns))
		}
		if took := turns[1].Sub(turns[0]); took < housekeepTime || took > 3*housekeepTime {
			t.Errorf("the next turn was %v later", took)
		}
	})
}
