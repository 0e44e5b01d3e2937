// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestHandler_AnswersGetAndHeadOnly(t *testing.T) {
	h := readOnly(t, memstore.New()).Handler(HandlerOpts{})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"} {
		w := ask(h, method, nil)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestHandler_SaysWhyItCannotReadTheMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		closed, unconnected := process(t, server, Opts{}), New()
		if err := closed.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, op := range []string{
			memstore.OpReadApp, memstore.OpReadFamilies, memstore.OpScan, memstore.OpReadSeries, memstore.OpReadGauges, "",
		} {
			var heard troubles
			r := process(t, server, Opts{OnError: heard.add})
			r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
			flush(t, r)
			j := journalOf(server)
			if op == memstore.OpReadSeries { // it reads the series that a page before found
				scrape(t, r)
			}
			j.intervene(only(op, away))
			for _, method := range []string{"GET", "HEAD"} {
				w := ask(r.Handler(HandlerOpts{}), method, nil)
				if w.Code != http.StatusServiceUnavailable {
					t.Errorf("%q fails: %d\n%s", op, w.Code, w.Body)
				}
				if body := w.Body.String(); !strings.Contains(body, "the connection to Redis failed") || !strings.Contains(body, `"shop"`) {
					t.Errorf("%q fails: the page says %q", op, body)
				}
			}
			if n := heard.count("a scrape failed"); n != 1 || heard.count(errBroken.Error()) == 0 {
				t.Errorf("%q fails: OnError hears %v", op, heard.all())
			}
			if _, err := r.Gather(); !errors.Is(err, errBroken) {
				t.Errorf("%q fails: Gather returns %v", op, err)
			}
			j.intervene(nil)
			scrape(t, r) // and all is well again
			server.Fail(nil)
			if err := r.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for r, want := range map[*Registry]error{closed: ErrClosed, unconnected: ErrNotConnected} {
			w := ask(r.Handler(HandlerOpts{}), "GET", nil)
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), want.Error()) {
				t.Errorf("%d: %s, want %v", w.Code, w.Body, want)
			}
		}
	})
}

func TestHandler_KeepsWithinTheScrapersTimeout(t *testing.T) {
	const header = "X-Prometheus-Scrape-Timeout-Seconds"
	tests := []struct {
		header string
		opts   HandlerOpts
		want   time.Duration
	}{
		{"", HandlerOpts{}, 5 * time.Second},
		{"", HandlerOpts{Timeout: 2 * time.Second}, 2 * time.Second},
		{"10", HandlerOpts{}, 9 * time.Second},
		{"2.5", HandlerOpts{Timeout: time.Second}, 2250 * time.Millisecond},
		{"0.5", HandlerOpts{}, 450 * time.Millisecond},
		{"1e-7", HandlerOpts{}, minScrapeTimeout},
		{"0.000000001", HandlerOpts{}, minScrapeTimeout},
		{"5e-324", HandlerOpts{}, minScrapeTimeout},
		{"0x1p-30", HandlerOpts{}, minScrapeTimeout},
		{"1e-400", HandlerOpts{}, 5 * time.Second},
		{"1e400", HandlerOpts{}, 5 * time.Second},
		{"-1", HandlerOpts{}, 5 * time.Second},
		{"0", HandlerOpts{}, 5 * time.Second},
		{"NaN", HandlerOpts{}, 5 * time.Second},
		{"+Inf", HandlerOpts{}, 5 * time.Second},
		{"soon", HandlerOpts{}, 5 * time.Second},
		{"1e9", HandlerOpts{}, maxScrapeTimeout * 9 / 10},
	}
	for _, tt := range tests {
		t.Run(tt.header+" "+tt.opts.Timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				r := readOnly(t, server)
				server.Fail(only(memstore.OpReadApp, func(string) error {
					time.Sleep(time.Hour)
					return nil
				}))
				h := http.Header{}
				if tt.header != "" {
					h.Set(header, tt.header)
				}
				begin := time.Now()
				w := ask(r.Handler(tt.opts), "GET", h)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("answered after %v, want %v", took, tt.want)
				}
				if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "deadline") {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
				elapse(time.Hour) // lets what hangs end
			})
		})
	}
}

func TestHandler_FlushesItsOwnProcessFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := process(t, memstore.New(), Opts{Interval: time.Hour})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		synctest.Wait()
		for i := range 5 {
			c.Inc()
			scrape(t, r).want(t, samples{"c_total": float64(i + 1)})
		}
	})
}

func TestHandler_ItsOwnFlushIsBoundedAndNeverFailsTheScrape(t *testing.T) {
	for name, fault := range map[string]func(string) error{
		"away":    away,
		"refused": func(string) error { return refusal },
		"slow": func(string) error {
			time.Sleep(4 * time.Second)
			return nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			c := r.NewCounter(CounterOpts{Name: "c_total"})
			c.Inc()
			elapse(2 * time.Second)
			journalOf(server).intervene(only(memstore.OpCommit, fault))
			c.Inc()
			begin := time.Now()
			scrape(t, r).want(t, samples{"c_total": 1})
			if took := time.Since(begin); took > ownFlushTimeout {
				t.Errorf("%s: the scrape took %v", name, took)
			}
			begin = time.Now()
			get(t, r.Handler(HandlerOpts{}), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"1"}})
			if took := time.Since(begin); took > 300*time.Millisecond {
				t.Errorf("%s: the scrape took %v of 1s", name, took)
			}
			server.Fail(nil)
			elapse(time.Minute)
			list, err := r.Gather()
			if err != nil {
				t.Fatal(err)
			}
			want := 2.0
			if name == "slow" { // the second scraper asked for too short a timeout to count it
				want = 1
			}
			if n := gathered(t, list)["shoal_scrape_flush_failures_total"]; n != want {
				t.Errorf("%s: %v failed flushes were counted, want %v", name, n, want)
			}
			scrape(t, r).want(t, samples{"c_total": 2})
		})
	}
}

func TestHandler_AScrapeOnlyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a := process(t, server, Opts{})
		three(orders(a))
		gaugeIn(a).Set(1)
		flush(t, a)
		kill(t, a)
		elapse(time.Hour) // all of a that can expire has expired
		r := readOnly(t, server)
		j := journalOf(server)
		scrape(t, r)
		scrape(t, r)
		if n := j.moments(memstore.OpReadApp, memstore.OpReadFamilies, memstore.OpReadGauges, memstore.OpReadSeries,
			memstore.OpScan+" orders_total"); n > 1 {
			t.Errorf("asked %v", j.ops)
		}
		for _, op := range j.ops {
			if !strings.HasPrefix(op, "read-") && !strings.HasPrefix(op, "scan-") && op != memstore.OpLineage {
				t.Errorf("a scrape asked for %s", op)
			}
		}
		if n := j.count(memstore.OpScan + " orders_total"); n != 1 {
			t.Errorf("series that were known were scanned again: %d scans", n)
		}
	})
}

func TestHandler_AScraperThatGoesAwayLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := readOnly(t, server)
		server.Fail(only(memstore.OpReadApp, func(string) error {
			time.Sleep(time.Second)
			return nil
		}))
		var group sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		group.Go(func() {
			w := httptest.NewRecorder()
			r.Handler(HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
			if w.Code == http.StatusOK {
				t.Error("a scraper that went away was answered")
			}
		})
		time.Sleep(100 * time.Millisecond)
		group.Go(func() { scrape(t, r) })
		cancel()
		group.Wait()
	})
}
