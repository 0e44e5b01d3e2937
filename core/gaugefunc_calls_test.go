// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/page"
)

// funcNamed declares a gauge function on the page as a plain name.
func funcNamed(r *Registry, name string, f func() float64) *GaugeFunc {
	return r.NewGaugeFunc(GaugeOpts{Name: name, Mode: Sum}, f)
}

func TestGaugeFunc_IsAskedWhenItIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		elapse(time.Minute + time.Second)
		var mu sync.Mutex // held by the code that declares, and taken by the function
		mu.Lock()
		funcNamed(r, "g", func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return 7
		})
		mu.Unlock()
		elapse(2 * time.Second) // the next flush
		stored(t, server).want(t, samples{"g": 7})
	})
}

func TestGaugeFunc_IsAskedBeforeEachOwnPageFlushAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		elapse(time.Second)
		value := 0.0
		funcNamed(r, "g", func() float64 { return value })
		r.NewGaugeFunc(GaugeOpts{Name: "last", Mode: Latest}, func() float64 { return value })
		synctest.Wait()
		value = 1
		scrape(t, r).want(t, samples{"g": 1, "last": 1})
		value = 2
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		page := gathered(t, families)
		page.want(t, samples{"g": 2, "last": 2})
		value = 3
		flush(t, r)
		stored(t, server).want(t, samples{"g": 3, "last": 3})
		value = 4
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		stored(t, server).want(t, samples{"last": 4})
	})
}

// A call that began before the page was asked for may return an older value.
func TestGaugeFunc_APageWaitsForACallThatBeganAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		elapse(time.Second)
		var value atomic.Int64
		value.Store(1)
		funcNamed(r, "g", func() float64 {
			v := value.Load()
			time.Sleep(100 * time.Millisecond)
			return float64(v)
		})
		elapse(50 * time.Millisecond) // in the middle of the call
		value.Store(2)
		scrape(t, r).want(t, samples{"g": 2})
	})
}

func TestGaugeFunc_SlowOnesAreAskedAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		wanted := samples{}
		for i, name := range []string{"a", "b", "c", "d"} {
			funcNamed(r, name, func() float64 { time.Sleep(200 * time.Millisecond); return float64(i) })
			wanted[name] = float64(i)
		}
		elapse(time.Second)
		begin := time.Now()
		scrape(t, r).want(t, wanted)
		if took := time.Since(begin); took > 300*time.Millisecond {
			t.Errorf("the page took %v", took)
		}
	})
}

func TestGaugeFunc_AHangDelaysOnePageAndNoOtherFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		elapse(time.Second)
		release := make(chan struct{})
		n := 0.0
		funcNamed(r, "before", func() float64 { n++; return n })
		funcNamed(r, "hangs", func() float64 { <-release; return 1 })
		m := 0.0
		funcNamed(r, "after", func() float64 { m++; return m })
		synctest.Wait()
		for i, most := range []time.Duration{500 * time.Millisecond, 0, 0} {
			begin := time.Now()
			page := scrape(t, r)
			page.want(t, samples{"before": float64(i + 2), "after": float64(i + 2)})
			page.lacks(t, "hangs")
			if took := time.Since(begin); took > most+100*time.Millisecond {
				t.Errorf("page %d took %v beside a function that hangs", i, took)
			}
		}
		// A scrape with a short timeout waits less.
		release <- struct{}{}
		synctest.Wait()
		begin := time.Now()
		if _, err := r.scrape(t.Context(), page.Request{}, 900*time.Millisecond, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("a page with 900 ms left took %v", took)
		}
		close(release)
		synctest.Wait()
		scrape(t, r).want(t, samples{"hangs": 1})
	})
}

func TestGaugeFunc_FlushWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		funcNamed(r, "g", func() float64 { time.Sleep(400 * time.Millisecond); return 1 })
		elapse(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := r.Flush(ctx); err == nil {
			t.Error("Flush had no time and reports none")
		}
		if took := time.Since(begin); took > 60*time.Millisecond {
			t.Errorf("Flush took %v, its context 50 ms", took)
		}
	})
}

// A function may call what itself waits for the function. That call gives up, and the
// function is not called again because of it.
func TestGaugeFunc_MayCallShoal(t *testing.T) {
	calls := map[string]func(r *Registry) float64{
		"Gather": func(r *Registry) float64 { _, _ = r.Gather(); return 1 },
		"Flush": func(r *Registry) float64 {
			if err := r.Flush(context.Background()); err != nil {
				return -1
			}
			return 1
		},
		"AddSync": func(r *Registry) float64 {
			total, _ := r.NewCounter(CounterOpts{Name: "c_total"}).AddSync(context.Background(), 1)
			return total / total
		},
		"itself": func(r *Registry) float64 { funcNamed(r, "g", func() float64 { return 2 }); return 1 },
		"another": func(r *Registry) float64 {
			funcNamed(r, "another", func() float64 { return 2 })
			return 1
		},
		"Close": func(r *Registry) float64 { _ = r.Close(context.Background()); return 1 },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := process(t, memstore.New(), Opts{})
				elapse(time.Second)
				var times atomic.Int64
				funcNamed(r, "g", func() float64 { times.Add(1); return call(r) })
				begin := time.Now()
				_, err := r.Gather()
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("a page took %v", took)
				}
				if name == "Close" {
					elapse(time.Minute)
					if n := times.Load(); n != 1 {
						t.Errorf("called %d times, though the first call closed the registry", n)
					}
					return
				}
				if err != nil {
					t.Error(err)
				}
				elapse(time.Minute)
				if n := times.Load(); n > 15 {
					t.Errorf("called %d times in a minute", n)
				}
				page := scrape(t, r)
				page.want(t, samples{"g": 1})
				if name == "another" {
					page.want(t, samples{"another": 2})
				}
			})
		})
	}
}

func TestGaugeFunc_DeclaredInAGaugeFuncIsOnTheSamePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		elapse(time.Second)
		show := false
		funcNamed(r, "outer", func() float64 {
			if show {
				funcNamed(r, "inner", func() float64 {
					funcNamed(r, "innermost", func() float64 { return 3 })
					return 2
				})
			}
			return 1
		})
		synctest.Wait()
		show = true
		scrape(t, r).want(t, samples{"outer": 1, "inner": 2, "innermost": 3})
	})
}

func TestGaugeFunc_ThatEndsItsGoroutineIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{})
		n := 0.0
		funcNamed(r, "g", func() float64 {
			if n++; n == 2 {
				runtime.Goexit()
			}
			return n
		})
		synctest.Wait()
		begin := time.Now()
		scrape(t, r).want(t, samples{"g": 1})
		scrape(t, r).want(t, samples{"g": 3})
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("two pages took %v", took)
		}
	})
}

func TestGaugeFunc_IsNeverCalledTwiceAtOnceNorAfterClose(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{LeaseDuration: 30 * time.Millisecond})
	var inside, calls atomic.Int64
	for _, name := range []string{"a", "b"} {
		var own atomic.Int64
		funcNamed(r, name, func() float64 {
			if own.Add(1) != 1 {
				inside.Add(1)
			}
			runtime.Gosched()
			own.Add(-1)
			return float64(calls.Add(1))
		})
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if _, err := r.Gather(); err != nil {
					return // closed
				}
				_ = r.Flush(t.Context())
			}
		})
	}
	group.Go(func() {
		for calls.Load() < 50 {
			runtime.Gosched()
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		before := calls.Load()
		funcNamed(r, "late", func() float64 { calls.Add(1); return 0 })
		_, _ = r.Gather()
		_ = r.Flush(context.Background())
		_ = r.Close(context.Background())
		if n := calls.Load(); n != before {
			t.Errorf("%d calls after Close", n-before)
		}
	})
	group.Wait()
	if n := inside.Load(); n != 0 {
		t.Errorf("%d calls began while another call of the same function was running", n)
	}
}

func TestGaugeFunc_IsNotAskedByAReadOnlyRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{ReadOnly: true})
		funcNamed(r, "g", func() float64 { t.Error("asked"); return 1 })
		flush(t, r)
		scrape(t, r).lacks(t, "g")
		elapse(time.Minute)
	})
}
