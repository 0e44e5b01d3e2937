// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkNews reads a page of one large family, in which one series is new since the page
// before (side=new) or none is (side=known). The process that reads does not write.
func BenchmarkNews(b *testing.B) {
	for _, series := range []int{1000, 10_000, 100_000} {
		app := fmt.Sprintf("news-%d", series)
		vec := fillLarge(b, redistest.Shared(b), app, series)
		for _, side := range []string{"new", "known"} {
			b.Run(fmt.Sprintf("series=%d/side=%s", series, side), func(b *testing.B) {
				line := redistest.StartLine(b, redistest.Shared(b).Addr, 0, 0)
				reader := open(b, line.URL(), shoal.Opts{App: app, ReadOnly: true})
				handler, req := reader.Handler(shoal.HandlerOpts{}), forms[0].request(false)
				scrape(b, handler, req)
				var received int64
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					if side == "new" {
						vec.add(b)
					}
					before := line.Received.Load()
					b.StartTimer()
					scrape(b, handler, req)
					received += line.Received.Load() - before
				}
				b.ReportMetric(float64(received)/float64(b.N), "received-B")
			})
		}
	}
}

// BenchmarkNewsOnLine scrapes a family of 120,000 series over a line of 80 ms for 20 s, once a
// second, with 5 s for each page, while one series is added each second. Shown are the pages among the
// answers, of a process that had read a page before the first series was added.
func BenchmarkNewsOnLine(b *testing.B) {
	const series = 120_000
	vec := fillLarge(b, redistest.Shared(b), "news-on-line", series)
	b.Run(fmt.Sprintf("series=%d/line=80ms", series), func(b *testing.B) {
		line := redistest.StartLine(b, redistest.Shared(b).Addr, 4*farAway, 0)
		reader := open(b, line.URL(), shoal.Opts{App: "news-on-line", ReadOnly: true, OnError: func(error) {}})
		handler := reader.Handler(shoal.HandlerOpts{})
		scrape(b, handler, forms[0].request(false))
		req := forms[0].request(false)
		req.Header.Del("X-Prometheus-Scrape-Timeout-Seconds")
		pages, answers := 0, 0
		for b.Loop() {
			for begin := time.Now(); time.Since(begin) < 20*time.Second; answers++ {
				next := time.Now().Add(time.Second)
				vec.add(b)
				if status(handler, req) == http.StatusOK {
					pages++
				}
				time.Sleep(time.Until(next))
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(100*float64(pages)/float64(answers), "%-pages")
	})
}

// largeFamily is a family to which series are added.
type largeFamily struct {
	reg    *shoal.Registry
	vec    *shoal.CounterVec
	series int
}

// fillLarge makes a family of series with the labels of a middleware.
func fillLarge(b *testing.B, server *redistest.Server, app string, series int) *largeFamily {
	b.Helper()
	reg := connected(b, server, app)
	f := &largeFamily{reg: reg, vec: reg.NewCounterVec(shoal.CounterOpts{Name: "c_total", Help: "Counts."}, []string{"code", "method", "route"})}
	for range series {
		f.inc()
	}
	flush(b, reg)
	return f
}

func (f *largeFamily) inc() {
	f.vec.WithLabelValues("200", "GET", "/items/"+strconv.Itoa(f.series)).Inc()
	f.series++
}

// add makes one more series known to Redis.
func (f *largeFamily) add(b *testing.B) {
	b.Helper()
	f.inc()
	flush(b, f.reg)
}
