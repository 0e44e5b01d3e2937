// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// trips counts round trips to Redis.
type trips struct{ n atomic.Int64 }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmds)
	}
}

// docs/protocol.md: a scrape takes as many round trips for few series as for
// many, up to 8,000, and nobody uses KEYS or SCAN.
func TestScrape_RoundTripsDoNotGrowWithTheSeries(t *testing.T) {
	server := redistest.Start(t)
	writing := connect(t, server.Client(t), shoal.Opts{App: "shop"})
	defer func() { _ = writing.Close(t.Context()) }()
	orders := writing.NewCounterVec(shoal.CounterOpts{Name: "orders_total"}, []string{"n"})
	took := writing.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds"}, []string{"n"})

	client, count := server.Client(t), new(trips)
	client.AddHook(count)
	reading := connect(t, client, shoal.Opts{App: "shop", ReadOnly: true})
	defer func() { _ = reading.Close(t.Context()) }()

	measure := func(series int) int64 {
		t.Helper()
		for i := range series {
			orders.WithLabelValues(fmt.Sprint(i)).Inc()
			took.WithLabelValues(fmt.Sprint(i)).Observe(1)
		}
		must(t, writing.Flush(t.Context()))
		scrape(t, reading) // the reader learns the series
		before := count.n.Load()
		scrape(t, reading)
		return count.n.Load() - before
	}
	few, many := measure(1), measure(3000)
	if few != many || many > 6 {
		t.Errorf("a scrape takes %d round trips for 1 series and %d for 3000", few, many)
	}

	info, err := server.Client(t).InfoMap(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range info {
		for _, command := range slices.Sorted(maps.Keys(section)) {
			if name := strings.TrimPrefix(command, "cmdstat_"); name == "keys" || name == "scan" {
				t.Errorf("somebody used %s", name)
			}
		}
	}
}
