// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkShortLived opens a process, counts three things once and closes it, as a cron job or a
// serverless handler does. Redis has the series from the process before. Scripts are the calls of
// scripts, round trips those of all of its connections, the greeting of a connection included.
func BenchmarkShortLived(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	line := redistest.StartLine(b, server.Addr, time.Millisecond, 0)
	live := func() {
		reg := shoal.New()
		if err := reg.Open(line.URL(), shoal.Opts{App: "short-lived"}); err != nil {
			b.Fatal(err)
		}
		reg.NewCounter(shoal.CounterOpts{Name: "runs_total"}).Inc()
		reg.NewCounterVec(shoal.CounterOpts{Name: "mails_total"}, []string{"kind"}).WithLabelValues("welcome").Add(3)
		reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds"}).Observe(.3)
		closeIn(b, reg, time.Minute)
	}
	live()
	calls, sent, trips := loadOf(b, client, "evalsha").calls, line.Sent.Load(), line.Trips.Load()
	for b.Loop() {
		live()
	}
	n := float64(b.N)
	b.ReportMetric((loadOf(b, client, "evalsha").calls-calls)/n, "scripts")
	b.ReportMetric(float64(line.Sent.Load()-sent)/n, "sent-B")
	b.ReportMetric(float64(line.Trips.Load()-trips)/n, "round-trips")
}
