// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// However many scrapes come at once, the process reads Redis once at a time, flushes once at
// a time, and encodes a page once for each format.
func TestHandler_AFloodOfScrapesSharesReadingsFlushesAndEncodings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 3000
		server := memstore.New()
		r := process(t, server, Opts{Interval: time.Hour, RefreshPeriod: time.Hour})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		flush(t, r)
		j := journalOf(server)
		j.intervene(func(op string) error {
			if op == memstore.OpReadApp || op == commitC {
				time.Sleep(200 * time.Millisecond)
			}
			return nil
		})
		h := r.Handler(HandlerOpts{})
		c.Inc()
		var group sync.WaitGroup
		for i := range flood {
			group.Go(func() {
				header := http.Header{"Accept": {fmt.Sprintf("text/plain;q=0.%d;flood=%d", 1+i%9, i)}}
				if body := get(t, h, header); !strings.Contains(body, "c_total 1\n") {
					t.Errorf("a scrape does not show what was counted before it")
				}
			})
		}
		group.Wait()
		if n := j.count(memstore.OpReadApp); n > 2 {
			t.Errorf("%d readings for %d scrapes at once, want 2 at most", n, flood)
		}
		if n := j.count(commitC); n != 1 {
			t.Errorf("%d commits for %d scrapes at once, want 1", n, flood)
		}
	})
}

// Scrapers that give up while Redis hangs leave nothing behind, however fast
// they come again.
func TestHandler_ScrapesThatGaveUpAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		flush(t, r)
		j := journalOf(server)
		j.intervene(func(string) error { // a frozen server
			time.Sleep(time.Hour)
			return nil
		})
		c.Inc()
		h := r.Handler(HandlerOpts{})
		for range 50 {
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					w := ask(h, "GET", http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"0.001"}})
					if w.Code != http.StatusServiceUnavailable {
						t.Errorf("%d", w.Code)
					}
				})
			}
			group.Wait()
		}
		w := r.conn.Load().writer
		w.requests.mu.Lock()
		if n := len(w.requests.new); n > 0 {
			t.Errorf("%d requests for a flush are kept, and nobody waits for them", n)
		}
		w.requests.mu.Unlock()
		j.intervene(nil)
		elapse(2 * time.Hour)
		scrape(t, r)
	})
}
