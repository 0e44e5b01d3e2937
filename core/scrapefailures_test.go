// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A client that asks for a short timeout, or goes away, is no failure of ours. While Redis
// answers, however slowly, it raises no counter that has an alert.
func TestHandler_WhatAClientAsksForIsNoFailureOfOurs(t *testing.T) {
	for name, ask := range map[string]func(h http.Handler){
		"100 ns":                         func(h http.Handler) { hurried(h, "1e-7") },
		"the floor":                      func(h http.Handler) { hurried(h, "0.25") },
		"1 s":                            func(h http.Handler) { hurried(h, "1") },
		"gone at once":                   func(h http.Handler) { gone(h, 0) },
		"gone while its process flushes": func(h http.Handler) { gone(h, 100*time.Millisecond) },
		"gone while Redis is read":       func(h http.Handler) { gone(h, 1500*time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				var heard troubles
				r := process(t, server, Opts{OnError: heard.add})
				c := r.NewCounter(CounterOpts{Name: "c_total"})
				flush(t, r)
				j := journalOf(server)
				j.intervene(func(op string) error {
					switch op {
					case memstore.OpReadApp:
						time.Sleep(2 * time.Second)
					case commitC:
						time.Sleep(700 * time.Millisecond)
					}
					return nil
				})
				h := r.Handler(HandlerOpts{})
				for range 20 {
					c.Inc()
					ask(h)
				}
				elapse(time.Minute)
				j.intervene(nil)
				list, err := r.Gather()
				if err != nil {
					t.Fatal(err)
				}
				page := gathered(t, list)
				for _, counter := range []string{"shoal_scrape_failures_total", "shoal_scrape_flush_failures_total", "shoal_flush_failures_total"} {
					if n := page[counter]; n != 0 {
						t.Errorf("%s is %v", counter, n)
					}
				}
				if all := heard.all(); len(all) > 0 {
					t.Errorf("OnError hears %v", all)
				}
			})
		})
	}
}

// A Redis that does not answer is a failure, whatever timeout the scraper asked for: the
// scraper is answered in time, and the failure is counted when it is certain.
func TestHandler_AnOutageCountsHoweverLittleTimeAScraperHas(t *testing.T) {
	for name, fault := range map[string]func(string) error{
		"away": away,
		"hangs": func(string) error {
			time.Sleep(time.Hour)
			return nil
		},
		"slow": func(string) error {
			time.Sleep(DefScrapeTimeout + time.Second)
			return nil
		},
	} {
		for _, asked := range []string{"", "10", "1", "0.5", "1e-7"} {
			t.Run(name+" "+asked, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := memstore.New()
					var heard troubles
					r := process(t, server, Opts{OnError: heard.add})
					synctest.Wait()
					j := journalOf(server)
					j.intervene(only(memstore.OpReadApp, fault))
					w := hurried(r.Handler(HandlerOpts{}), asked)
					if name == "slow" && asked == "10" { // enough
						if w.Code != http.StatusOK {
							t.Errorf("%d: %s", w.Code, w.Body)
						}
						return
					}
					if w.Code != http.StatusServiceUnavailable {
						t.Errorf("%d", w.Code)
					}
					elapse(2 * time.Hour) // what hangs ends
					j.intervene(nil)
					list, err := r.Gather()
					if err != nil {
						t.Fatal(err)
					}
					if n := gathered(t, list)["shoal_scrape_failures_total"]; n != 1 {
						t.Errorf("%v failures were counted, want 1", n)
					}
					if n := heard.count("a scrape failed"); n != 1 {
						t.Errorf("OnError hears %v", heard.all())
					}
				})
			})
		}
	}
}

// hurried asks for the page with a timeout in seconds.
func hurried(h http.Handler, timeout string) *httptest.ResponseRecorder {
	header := http.Header{}
	if timeout != "" {
		header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	}
	return ask(h, "GET", header)
}

// gone asks for the page and goes away after d.
func gone(h http.Handler, d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	if d == 0 {
		cancel()
	} else {
		defer time.AfterFunc(d, cancel).Stop()
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
}
