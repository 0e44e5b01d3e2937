// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// adding is the op "+" in a request.
const adding = "$1\r\n+\r\n"

// behind makes the app's processes connect through a proxy.
func (f *fleet) behind(proxy *redistest.LossyProxy) *fleet {
	return f.with(func(t testing.TB) redis.UniversalClient {
		opts := &redis.Options{Addr: proxy.Addr}
		impatient(opts)
		client := redis.NewClient(opts)
		t.Cleanup(func() { _ = client.Close() })
		return client
	})
}

// Each increment of each cumulative type reaches Redis once, though the reply to its first commit is lost.
// In TestClient_SharedWithABusyApplicationCountsExactly every tenth reply to a script is lost.
func TestExactlyOnce_ALostReplyIsNotAppliedTwice(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	proxy := redistest.StartLossyProxy(t, redistest.Shared(t).Addr)
	reg := f.behind(proxy).process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}})
	s := reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	flush(t, reg)

	proxy.Lose(redistest.Mentioning(1, f.family("jobs_total", "v"), adding))
	if total, err := c.AddSync(testkit.Within(t), 5); err != nil || total != 5 {
		t.Errorf("AddSync gives %v, %v; want 5", total, err)
	}
	proxy.Lose(redistest.Mentioning(2, f.family("took_seconds", "v"), adding)) // the retry's too
	testkit.Check(t, h.ObserveSync(testkit.Within(t), 0.5))
	proxy.Lose(redistest.Mentioning(1, f.family("size_bytes", "v"), adding))
	testkit.Check(t, s.ObserveSync(testkit.Within(t), 2.5))
	if n := proxy.Lost.Load(); n != 4 {
		t.Errorf("%d replies were lost, want 4", n)
	}
	testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "5", `took_seconds_bucket{le="1"}`, "1",
		"took_seconds_sum", "0.5", "took_seconds_count", "1", "size_bytes_sum", "2.5", "size_bytes_count", "1")
}
