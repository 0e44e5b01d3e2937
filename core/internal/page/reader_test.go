// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// between has something happen once, when the server has just answered an operation.
func (f *fixture) between(op string, do func()) {
	f.server.LoseReply(func(done string) error {
		if done == op {
			f.server.LoseReply(nil)
			do()
		}
		return nil
	})
}

// A scrape shares the reading of others only if that has not begun: it must show
// what was written before the scrape came.
func TestReader_AScrapeJoinsOnlyAReadingThatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.family("c_total", 1, counterDef(""))
		f.server.Fail(func(op string) error {
			if op == memstore.OpReadApp {
				time.Sleep(time.Second)
			}
			return nil
		})
		var scrapes sync.WaitGroup
		for range 10 { // the first reads at once, the others wait for the next reading
			f.add("c_total", "", "1")
			written := f.seq["c_total"]
			scrapes.Go(func() {
				var shown uint64
				for _, family := range f.page().Proto() {
					if family.GetName() == "c_total" {
						shown = uint64(family.Metric[0].GetCounter().GetValue())
					}
				}
				if shown < written {
					t.Errorf("%d is shown to a scrape that came when there were %d", shown, written)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		scrapes.Wait()
		if f.readings != 2 {
			t.Errorf("%d readings for 10 scrapes, want 2", f.readings)
		}
	})
}

// A failover comes in the middle of a reading, and the former server is back before
// the reading ends: the series are scanned on another server than the one from which
// their registrations were read. Where Redis does not tell its lineage, the reader can't
// see that.
func TestReader_WhatADiscardedReadingScannedIsForgotten(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.server.HideLineage(hidden)
			f.process("w", wire.Info{})
			f.family("c_total", 1, counterDef(""))
			lagging := f.server.Snapshot()
			f.add("c_total", labels("n", "a"), "7")
			whole := f.server.Snapshot()
			f.between(memstore.OpReadFamilies, func() {
				f.server.Restore(lagging)
				f.between(memstore.OpScan+" c_total", func() { f.server.Restore(whole) })
			})
			_, err := f.join(t.Context(), Request{})
			var recovering *RecoveringError
			if discarded := errors.As(err, &recovering) && recovering.stale; discarded == hidden {
				t.Errorf("with a lineage hidden %v the reading ends with %v", hidden, err)
			}
			if hidden {
				time.Sleep(2 * lease)
			}
			f.shows("c_total", `c_total{n="a"} 7`)
		})
	}
}

// A deletion comes between a family's registration and the scan of its series, and
// then a replica that has not heard of it takes over.
func TestReader_AScanIsRememberedOnlyIfTheSeriesVersionIsTheSameAfterIt(t *testing.T) {
	f := newFixture(t)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total", labels("n", "a"), "7")
	before := f.server.Snapshot()
	f.between(memstore.OpReadFamilies, func() { f.commit("c_total", wire.Op{Kind: wire.OpClear}) })
	f.shows("c_total")
	f.server.Restore(before)
	f.shows("c_total", `c_total{n="a"} 7`)
}

// Redis loses everything between a reading's registrations and its values, which are
// scanned or read by name.
func TestReader_AReadingInWhichTheStoreIsEmptiedIsNotShown(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, hidden := range []bool{true, false} {
			f := newFixture(t)
			f.server.HideLineage(hidden)
			f.family("c_total", 1, counterDef(""))
			f.add("c_total", labels("n", "a"), "7")
			if !first {
				f.page()
			}
			f.between(memstore.OpReadGauges, f.server.Wipe)
			_, err := f.join(t.Context(), Request{})
			if err == nil || !strings.Contains(err.Error(), "Redis lost something while the page was read") {
				t.Errorf("first %v, hidden %v: the reading ends with %v", first, hidden, err)
			}
		}
	}
}

// While a page waits for its own process, the reader asks that process to catch up.
func TestReader_AScrapeAsksItsProcessForWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.family("c_total", 1, counterDef(""))
		held := &Held{Generations: map[string]string{"c_total": f.gen["c_total"]}}
		type asked struct{ renew, verify bool }
		var asks []asked
		f.config.Held = func() *Held { return held }
		f.config.CatchUp = func(renew, verify bool) {
			asks = append(asks, asked{renew, verify})
			f.family("c_total", 1, counterDef("")) // it brings it back
			held = &Held{Generations: map[string]string{"c_total": f.gen["c_total"]}}
		}
		f.page()
		if len(asks) > 0 {
			t.Errorf("asked for %v although all is there", asks)
		}
		f.server.LoseControl("shop", "c_total")
		f.server.LoseValues("shop", "c_total")
		begin := time.Now()
		f.page()
		if len(asks) != 1 || asks[0] != (asked{verify: true}) {
			t.Errorf("asked for %v", asks)
		}
		if took := time.Since(begin); took != recoveryPoll {
			t.Errorf("the page came after %v", took)
		}
	})
}

func TestReader_CallsAfterStopReturnItsCause(t *testing.T) {
	f := newFixture(t)
	closed := errors.New("closed")
	f.Stop(closed)
	if _, err := f.Read(t.Context(), Request{}); !errors.Is(err, closed) {
		t.Errorf("Read returns %v", err)
	}
	if _, err := f.App(t.Context()); !errors.Is(err, closed) {
		t.Errorf("App returns %v", err)
	}
	if f.readings > 0 {
		t.Errorf("%d readings", f.readings)
	}
}

// When a reading has ended, the observer hears of a scrape that could not wait for it,
// and why; of a hasty one only if no other would have got a page either.
func TestReader_TellsWhatBecameOfAReadingThatAScrapeCouldNotWaitFor(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		took  time.Duration
		err   error // of the reading
		cause error // of the end of the scrape's time
		hasty int
		why   string // empty for nothing
	}{
		"slow":                      {2 * time.Second, nil, nil, 0, `app "shop": Redis has not answered in time: reading took 2s`},
		"broken":                    {2 * time.Second, broken, nil, 0, `app "shop": broken`},
		"nobody waits":              {2 * time.Second, broken, context.Canceled, 0, ""},
		"hasty, and well":           {2 * time.Second, nil, ErrHasty, 0, ""},
		"hasty, and too slow":       {6 * time.Second, nil, ErrHasty, 1, `app "shop": Redis has not answered in time: reading took 6s`},
		"hasty, and broken in time": {2 * time.Second, broken, ErrHasty, 1, `app "shop": broken`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.server.Fail(func(op string) error {
					if op != memstore.OpReadApp {
						return nil
					}
					time.Sleep(tt.took)
					return tt.err
				})
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, tt.cause)
				if errors.Is(tt.cause, context.Canceled) {
					ctx, cancel = context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
				}
				defer cancel()
				_, err := f.Read(ctx, Request{})
				var overdue *OverdueError
				if !errors.As(err, &overdue) {
					t.Errorf("the scrape ends with %v", err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				told := ""
				for _, err := range f.failed {
					told += err.Error()
				}
				if f.hasty != tt.hasty || told != tt.why {
					t.Errorf("told of %d hasty scrapes, and %q", f.hasty, told)
				}
			})
		})
	}
}
