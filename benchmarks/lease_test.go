// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// leased is an app's leases in a server. Its indexes from 0 on are leased.
type leased struct {
	b      *testing.B
	client *redis.Client
	hold   *redis.Script
	given  int // writers so far
}

const leasesKey = "shoal:1:{leases}:leases"

func newLeased(b *testing.B, leases int) *leased {
	tree := cmp.Or(os.Getenv("SHOAL_TREE"), "..") // package report measures older commits too
	source, err := os.ReadFile(filepath.Join(tree, "core/internal/wire/hold-1.lua"))
	if err != nil {
		b.Fatal(err)
	}
	l := &leased{b: b, client: redistest.Start(b).Client(b), hold: redis.NewScript(string(source))}
	if err := l.hold.Load(context.Background(), l.client).Err(); err != nil {
		b.Fatal(err)
	}
	l.run(leases, first)
	return l
}

// first is the index that a new process holds: none.
func first(int) int { return -1 }

// run has so many writers ask for a lease, in pipelines. Held tells the index that the i-th
// holds; if that is none, a new writer asks. It returns the indexes that they got.
func (l *leased) run(writers int, held func(i int) int) (indexes []int) {
	l.b.Helper()
	const most = 500 // calls of a pipeline
	ctx := context.Background()
	for from := 0; from < writers; from += most {
		pipe := l.client.Pipeline()
		for i := from; i < min(from+most, writers); i++ {
			index, writer := held(i), i
			if index < 0 {
				writer = l.given
				l.given++
			}
			l.hold.EvalSha(ctx, pipe, []string{leasesKey}, fmt.Sprintf("%020d", writer), index, -1, time.Hour.Milliseconds(),
				"6b86b273ff34fce1 web-"+strconv.Itoa(writer)+" v1.2.3 1700000000000000 3600000", "6b86b273ff34fce1", 0)
		}
		replies, err := pipe.Exec(ctx)
		if err != nil {
			l.b.Fatal(err)
		}
		for _, reply := range replies {
			words, err := reply.(*redis.Cmd).Slice()
			if err != nil {
				l.b.Fatal(err)
			}
			index, _ := words[0].(int64)
			indexes = append(indexes, int(index))
		}
	}
	return indexes
}

func (l *leased) empty() {
	l.given = 0
	if err := l.client.FlushAll(context.Background()).Err(); err != nil {
		l.b.Fatal(err)
	}
}

// BenchmarkLease reports how long a lease takes Redis: for a new process, beside so many
// leases; for a process that renews its own, every 5 s; for each process of a storm, in which so
// many are new at once, or come back after Redis lost everything.
func BenchmarkLease(b *testing.B) {
	for _, bench := range []struct {
		name string
		run  func(l *leased, n int)
	}{
		{"new", func(l *leased, n int) {
			index := l.run(1, first)[0]
			l.b.StopTimer() // another process goes
			gone := strconv.Itoa(index * 7919 % n)
			if err := l.client.HDel(context.Background(), leasesKey, "i:"+gone).Err(); err != nil {
				l.b.Fatal(err)
			}
			l.b.StartTimer()
		}},
		{"renewal", func(l *leased, n int) { l.run(1, func(int) int { return 0 }) }},
		{"storm", func(l *leased, n int) {
			l.empty()
			l.run(n, first)
		}},
		{"return", func(l *leased, n int) {
			l.empty()
			l.run(n, func(i int) int { return i }) // the index of writer i
		}},
	} {
		for _, n := range magnitudes {
			b.Run("kind="+bench.name+"/leases="+strconv.Itoa(n), func(b *testing.B) {
				l := newLeased(b, n)
				before := loadOf(b, l.client, "evalsha")
				for b.Loop() {
					bench.run(l, n)
				}
				after := loadOf(b, l.client, "evalsha")
				calls := after.calls - before.calls
				b.ReportMetric((after.micros-before.micros)/calls, "server-µs/lease")
				b.ReportMetric((after.cpu-before.cpu)*1e6/calls, "server-cpu-µs/lease")
			})
		}
	}
}
