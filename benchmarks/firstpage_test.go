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

// BenchmarkFirstPage reads the first page of a process that only reads, of counters without
// labels. Its connection has served a call before, so the round trips are those of the page, and
// of further connections if it makes any. A scrape that gets no page is followed by another one;
// after a minute without a page it gives up, and the figure is that minute.
func BenchmarkFirstPage(b *testing.B) {
	for _, families := range magnitudes {
		writer := connected(b, redistest.Shared(b), fmt.Sprintf("first-page-%d", families))
		for _, c := range declareFamilies(writer, families) {
			c.Inc()
		}
		flush(b, writer)
		scrape(b, writer.Handler(shoal.HandlerOpts{}), forms[0].request(false)) // Redis then has the scripts
		b.Run("line=20ms/families="+strconv.Itoa(families), func(b *testing.B) { readFirstPages(b, families) })
	}
}

func readFirstPages(b *testing.B, families int) {
	const patience = time.Minute
	line := redistest.StartLine(b, redistest.Shared(b).Addr, farAway, 0)
	var trips, received, refused int64
	var took time.Duration
	for b.Loop() {
		reg := shoal.New()
		opts := shoal.Opts{App: fmt.Sprintf("first-page-%d", families), ReadOnly: true, OnError: func(error) {}}
		if err := reg.Open(line.URL(), opts); err != nil {
			b.Fatal(err)
		}
		if _, err := reg.Instances(b.Context()); err != nil {
			b.Fatal(err)
		}
		handler, req := reg.Handler(shoal.HandlerOpts{}), forms[0].request(false)
		tripsBefore, receivedBefore, begin := line.Trips.Load(), line.Received.Load(), time.Now()
		for status(handler, req) != http.StatusOK && time.Since(begin) < patience {
			refused++
		}
		took += time.Since(begin)
		trips += line.Trips.Load() - tripsBefore
		received += line.Received.Load() - receivedBefore
		closeIn(b, reg, time.Second)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "first-page-ns")
	b.ReportMetric(float64(trips)/float64(b.N), "round-trips")
	b.ReportMetric(float64(received)/float64(b.N), "received-B")
	b.ReportMetric(float64(refused)/float64(b.N), "refused")
}

// status scrapes and returns the status of the answer.
func status(handler http.Handler, req *http.Request) int {
	w := &sink{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(w, req)
	return w.status
}
