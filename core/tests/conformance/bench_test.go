// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkCommit reports how long one batch blocks the server. The limits of a batch keep
// this below a millisecond.
func BenchmarkCommit(b *testing.B) {
	histogram := func(i int) string { // 13 components are stored, 3 are touched
		return strconv.Itoa(i%10) + ":1 " + strconv.Itoa((i+1)%10) + ":1 sum:0.123"
	}
	full := "0:1 1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1 10:1 +Inf:1 sum:12.5"
	for _, bench := range []struct {
		name        string
		series      int
		first, then func(i int) string
		totals      bool
	}{
		{"integers=128", 128, strconv.Itoa, func(int) string { return "1" }, false},
		{"integers=128/totals", 128, strconv.Itoa, func(int) string { return "1" }, true},
		{"floats=128", 128, strconv.Itoa, func(int) string { return "0.1" }, false},
		{"histograms=24", 24, func(int) string { return full }, histogram, false},
		{"histograms=24/all", 24, func(int) string { return full }, func(int) string { return full }, false},
		{"verification", 0, strconv.Itoa, strconv.Itoa, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ctx := context.Background()
			server := redistest.Start(b)
			client := server.Client(b)
			store := wire.NewRedis(client, "shop")
			reg := wire.Registration{Family: "a", Writer: "w1", Nonce: rand.Text(), Definition: wire.Definition{Type: wire.TypeHistogram}}
			gen := store.Register(ctx, []wire.Registration{reg})[0].Generation
			send := func(seq uint64, delta func(int) string) {
				c := wire.Commit{Family: "a", Generation: gen, Writer: "w1", Prev: seq - 1, Seq: seq, Totals: bench.totals, Limit: 10000, Overflow: "over"}
				for i := range bench.series {
					field := fmt.Sprintf("code\xff200\xffmethod\xffGET\xffroute\xff/items/%d", i)
					c.Ops = append(c.Ops, wire.Op{Kind: wire.OpAdd, Field: field, Value: delta(i)})
				}
				if r := store.Commit(ctx, []wire.Commit{c})[0]; r.Err != nil || r.Status != wire.CommitOK {
					b.Fatalf("%+v", r)
				}
			}
			send(1, bench.first)
			send(2, bench.then)
			client.ConfigResetStat(ctx)
			seq := uint64(2)
			for b.Loop() {
				seq++
				send(seq, bench.then)
			}
			b.ReportMetric(commandStat(b, client, "evalsha", "usec_per_call"), "server-µs/op")
		})
	}
}

// BenchmarkRead measures how a scrape reads a family of 10,000 counters.
func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	server := redistest.Start(b)
	client := server.Client(b)
	store := guarded(client, "shop")
	reg := wire.Registration{Family: "a", Writer: "w1", Nonce: rand.Text(), Definition: wire.Definition{Type: wire.TypeCounter}}
	gen := store.Register(ctx, []wire.Registration{reg})[0].Generation
	var fields []string
	for seq := range uint64(100) {
		c := wire.Commit{Family: "a", Generation: gen, Writer: "w1", Prev: seq, Seq: seq + 1}
		for i := range 100 {
			field := fmt.Sprintf("code\xff200\xffroute\xff/items/%d", int(seq)*100+i)
			fields = append(fields, field)
			c.Ops = append(c.Ops, wire.Op{Kind: wire.OpAdd, Field: field, Value: "12345"})
		}
		if r := store.Commit(ctx, []wire.Commit{c})[0]; r.Err != nil {
			b.Fatal(r.Err)
		}
	}
	b.Run("series=10000", func(b *testing.B) {
		client.ConfigResetStat(ctx)
		for b.Loop() {
			if _, _, err := store.ReadSeries(ctx, []wire.SeriesQuery{{Family: "a", Fields: fields}}, wire.MaxPage); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(commandStat(b, client, "hmget", "usec_per_call"), "server-µs/call")
	})
	b.Run("scan=10000", func(b *testing.B) {
		client.ConfigResetStat(ctx)
		for b.Loop() {
			if _, err := wire.ScanSeries(ctx, store, "a", wire.MaxPage); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(commandStat(b, client, "hscan", "usec_per_call"), "server-µs/call")
	})
}
