// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkResets scrapes a process of 20 families whose connections are bad, and tells how many
// of a hundred answers are pages: a share of the requests to Redis meet a reset, or, dead, the
// one connection that the process has is dead before each scrape, which has 10 s.
func BenchmarkResets(b *testing.B) {
	const scrapes = 30
	for _, percent := range []float64{1, 10} {
		b.Run(fmt.Sprintf("bad=%g%%", percent), func(b *testing.B) {
			line, handler := readerOnLine(b)
			rng := lockedRand{rng: rand.New(rand.NewPCG(1, 2))}
			line.Reset(func() bool { return rng.below(percent / 100) })
			countPages(b, handler, 10*scrapes, "9", func() {})
		})
	}
	b.Run("bad=dead", func(b *testing.B) {
		line, handler := readerOnLine(b)
		countPages(b, handler, 3, "11.1", func() {
			scrape(b, handler, forms[0].request(false)) // so that there is a connection
			line.Silence()
		})
	})
}

// readerOnLine returns the page of a process that only reads and has read a page.
func readerOnLine(b *testing.B) (*redistest.Line, http.Handler) {
	b.Helper()
	writer := connected(b, redistest.Shared(b), "resets")
	for _, c := range declareFamilies(writer, 20) {
		c.Inc()
	}
	flush(b, writer)
	line := redistest.StartLine(b, redistest.Shared(b).Addr, 0, 0)
	reader := open(b, line.URL(), shoal.Opts{App: "resets", ReadOnly: true, OnError: func(error) {}})
	handler := reader.Handler(shoal.HandlerOpts{})
	scrape(b, handler, forms[0].request(false))
	return line, handler
}

// countPages scrapes some times, with this scrape timeout in seconds.
func countPages(b *testing.B, handler http.Handler, scrapes int, timeout string, before func()) {
	req := forms[0].request(false)
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	pages := 0
	for b.Loop() {
		for range scrapes {
			before()
			if status(handler, req) == http.StatusOK {
				pages++
			}
		}
	}
	b.ReportMetric(100*float64(pages)/float64(scrapes*b.N), "%-pages")
}

// lockedRand is a source of random numbers for several goroutines.
type lockedRand struct {
	mu  sync.Mutex
	rng *rand.Rand // guarded by mu
}

// below says, with this probability, yes.
func (r *lockedRand) below(probability float64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Float64() < probability
}
