// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// askPage scrapes r, whatever the answer.
func askPage(r *Registry, opts HandlerOpts) *httptest.ResponseRecorder {
	return ask(r.Handler(opts), http.MethodGet, nil)
}

// waits scrapes and wants the page to be held back for the reason.
func waits(t *testing.T, r *Registry, reason string) {
	t.Helper()
	rec := askPage(r, HandlerOpts{Timeout: 500 * time.Millisecond})
	if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), reason) {
		t.Errorf("the page answered %d %q, want 503 and %q", rec.Code, rec.Body, reason)
	}
}

func TestRecovery_NoPageShowsAFailoverThatTheWritersSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		inA, inB := a.NewCounter(CounterOpts{Name: "c_total"}), b.NewCounter(CounterOpts{Name: "c_total"})
		other := readOnly(t, server)
		inA.Add(5)
		inB.Add(5)
		elapse(2 * time.Second)
		old := server.Snapshot()
		inA.Add(7)
		elapse(2 * time.Second) // and both are idle from here on
		last := scrape(t, other)["c_total"]
		server.Restore(old)
		begin := time.Now()
		waits(t, other, "recovering: Redis restarted or failed over; "+
			"waiting up to 30 s more for 2 of 2 processes to bring back what it may lack")
		for time.Since(begin) < time.Minute {
			rec := askPage(other, HandlerOpts{Timeout: 500 * time.Millisecond})
			if rec.Code != http.StatusOK {
				if time.Since(begin) > DefLeaseDuration {
					t.Fatalf("after %v still %s", time.Since(begin), rec.Body)
				}
				continue
			}
			if now := scrape(t, other)["c_total"]; now < last {
				t.Fatalf("%v after the failover the page shows %v, after %v", time.Since(begin), now, last)
			}
			time.Sleep(time.Second)
		}
		scrape(t, other).want(t, samples{"c_total": 17})
	})
}

// After a restart without data the writers bring everything back, and no page shows a part
// of it.
func TestRecovery_NoPageShowsAStoreThatIsFilledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		a.NewCounter(CounterOpts{Name: "c_total"}).Add(5)
		elapse(2 * time.Second)
		b.NewCounter(CounterOpts{Name: "c_total"}).Add(7)
		elapse(2 * time.Second)
		server.Restart()
		other := readOnly(t, server)
		for begin := time.Now(); time.Since(begin) < DefLeaseDuration; elapse(10 * time.Millisecond) {
			rec := askPage(other, HandlerOpts{Timeout: 10 * time.Millisecond})
			if body := rec.Body.String(); rec.Code == http.StatusOK && strings.Contains(body, "\nc_total ") &&
				!strings.Contains(body, "\nc_total 12\n") {
				t.Fatalf("%v after the restart the page shows a part: %s", time.Since(begin), body)
			}
		}
		scrape(t, other).want(t, samples{"c_total": 12})
	})
}

// A process that sees another lineage while it answers a scrape rechecks its families at once.
func TestRecovery_AScrapeMakesTheAnsweringProcessRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		elapse(time.Second)
		old := server.Snapshot()
		c.Add(7)
		elapse(6 * time.Second) // just after a heartbeat, or nearly
		server.Restore(old)
		begin := time.Now()
		scrape := askPage(r, HandlerOpts{Timeout: time.Minute})
		if scrape.Code != http.StatusOK || !strings.Contains(scrape.Body.String(), "c_total 7") {
			t.Fatalf("the page answered %d %s", scrape.Code, scrape.Body)
		}
		if took := time.Since(begin); took > DefLeaseDuration/3+DefLeaseDuration/30+maxBackoff+time.Second {
			t.Errorf("the page came after %v, want at most a heartbeat and the longest back-off", took)
		}
	})
}

func TestRecovery_IsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(7)
		elapse(2 * time.Second)
		// The process renews its lease and can't find out what Redis still has.
		server.Fail(only(memstore.OpRegister+" c_total", func(string) error { return refusal }))
		server.Restore(server.Snapshot())
		other := readOnly(t, server)
		begin := time.Now()
		for askPage(other, HandlerOpts{}).Code != http.StatusOK {
			if time.Since(begin) > 3*DefLeaseDuration {
				t.Fatalf("no page after %v", time.Since(begin))
			}
		}
		if waited := time.Since(begin); waited < 2*DefLeaseDuration-DefLeaseDuration/3 {
			t.Errorf("the page came after %v, though a process had not confirmed", waited)
		}
		if n := selfValue(other, "shoal_unconfirmed_scrapes_total"); n == 0 {
			t.Error("the unconfirmed page was not counted")
		}
	})
}

func TestRecovery_ANewStoreOrAHiddenLineageHoldsNoPageBack(t *testing.T) {
	for name, change := range map[string]func(*memstore.Server){
		"at the first start":           func(*memstore.Server) {},
		"a lineage that is not told":   func(s *memstore.Server) { s.HideLineage(true) },
		"a lineage that is told later": func(s *memstore.Server) { s.HideLineage(true); s.HideLineage(false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := process(t, server, Opts{})
				r.NewCounter(CounterOpts{Name: "c_total"}).Add(7)
				elapse(2 * time.Second)
				change(server)
				begin := time.Now()
				if rec := askPage(r, HandlerOpts{}); rec.Code != http.StatusOK {
					t.Errorf("the page answered %d %s", rec.Code, rec.Body)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("the page came after %v", took)
				}
			})
		})
	}
}

// After a step back to before a family's first batch the writer sends all of it.
func TestLineage_AFamilyThatIsGoneWithItIsSentWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		elapse(time.Second)
		old := server.Snapshot()
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		for range 3 {
			c.Add(7)
			elapse(2 * time.Second)
		}
		server.Restore(old)
		elapse(DefLeaseDuration)
		stored(t, server).want(t, samples{"c_total": 21})
		server.Wipe() // in the same lineage: what Prometheus saw must not be counted twice
		c.Add(1)
		elapse(DefRefreshPeriod * 12 / 10)
		stored(t, server).want(t, samples{"c_total": 1})
	})
}

func TestLineage_WhereItIsHiddenEveryFamilyIsRecheckedAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.HideLineage(true)
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(5)
		elapse(2 * time.Second)
		old := server.Snapshot()
		c.Add(7)
		elapse(2 * time.Second)
		server.Fail(away)
		elapse(2 * DefLeaseDuration / 3) // a heartbeat fails
		server.Restore(old)
		server.Fail(nil)
		elapse(2 * maxBackoff)
		stored(t, server).want(t, samples{"c_total": 12})
	})
}

func TestClose_BringsBackWhatTheStoreLostJustBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(5)
		elapse(2 * time.Second)
		old := server.Snapshot()
		c.Add(7)
		elapse(2 * time.Second)
		server.Restore(old)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(2 * DefLeaseDuration)
		stored(t, server).want(t, samples{"c_total": 12})
	})
}
