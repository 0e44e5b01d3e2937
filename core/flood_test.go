// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// However many scrapes come at once, Redis is read once at a time, this
// process flushes once at a time, and a page is encoded once for each form.
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

// What a request says in its headers chooses among few encodings of a page, so
// they can neither fill the memory nor reach the answer's headers.
func TestHandler_HeadersCanNotGrowTheEncodingsOfAPage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	word := func() string { return fmt.Sprintf("evil%x", rnd.Uint64()) }
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for _, opts := range []HandlerOpts{{}, {EnableOpenMetrics: true}} {
		h := &handler{New(), opts}
		p := &page{families: []*pageFamily{{
			name: "c_total", kind: wire.TypeCounter, labels: &labelSets{decoded: make([][]wire.Label, 1)}, numbers: []float64{1},
		}}}
		for range 5000 {
			req := &http.Request{Header: http.Header{
				"Accept": {strings.Join([]string{
					pick("text/plain", "application/openmetrics-text", "application/vnd.google.protobuf", "*/*", word()+"/"+word()),
					"version=" + pick("0.0.4", "1.0.0", "0.0.1", "2.0.0", word()),
					"escaping=" + pick("allow-utf-8", "underscores", "dots", "values", word()),
					"proto=" + pick("io.prometheus.client.MetricFamily", word()),
					"encoding=" + pick("delimited", "text", "compact-text", word()),
					"q=" + pick("1", "0", "0.5", "NaN", word()), word() + "=" + word(),
				}, ";")},
				"Accept-Encoding": {pick("gzip", "gzip;q=0", "*", "br", word()) + ", " + word() + ";q=" + word()},
			}}
			format, zip := h.negotiate(req)
			if strings.Contains(string(format), "evil") {
				t.Errorf("a request wrote the content type %q", format)
			}
			if _, err := p.encode(format, zip); err != nil {
				t.Fatal(err)
			}
		}
		formats := 2
		if opts.EnableOpenMetrics {
			formats = 3
		}
		if n := len(p.encoded.done); n != formats*2 {
			t.Errorf("%d encodings, want %d", n, formats*2)
		}
		a, _ := p.encode(expfmt.FmtText, false)
		b, _ := p.encode(expfmt.FmtText, false)
		if &a[0] != &b[0] {
			t.Error("two scrapes of one page in one form have an encoding each")
		}
	}
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
			t.Errorf("%d requests for a flush wait that nobody waits for", n)
		}
		w.requests.mu.Unlock()
		j.intervene(nil)
		elapse(2 * time.Hour)
		scrape(t, r)
	})
}
