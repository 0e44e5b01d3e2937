// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// fill puts n entries into a hash or a sorted set: in both formats, %d is a number
// that grows, and KEYS, ARGV are those of the script.
const fill = `
for i = 0, ARGV[1] - 1 do
  redis.call(ARGV[2], KEYS[1], string.format(ARGV[3], i), string.format(ARGV[4], i))
end
return 1`

// A key of ours that somebody filled makes no call of ours longer than some bound,
// for which other clients wait: ten times as many entries, and the longest takes as
// long as before.
func TestCrowdedKeys_NoCallTakesLongerForIt(t *testing.T) {
	ctx := t.Context()
	server := redistest.Start(t)
	client := server.Client(t)
	for _, setting := range [][2]string{{"slowlog-log-slower-than", "0"}, {"slowlog-max-len", "100000"}} {
		if err := client.ConfigSet(ctx, setting[0], setting[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	const tag = "shoal:1:{shop"
	store := wire.NewRedis(client, "shop")
	now := client.Time(ctx).Val()
	alive := fmt.Sprintf("%d - - - 0 86400000", now.Add(time.Hour).UnixMilli())
	register := func() wire.RegisterReply {
		t.Helper()
		r := store.Register(ctx, []wire.Registration{{Family: "a", Writer: "w", Nonce: rand.Text(), Born: 1, Definition: wire.Definition{Type: wire.TypeCounter}}})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hold := func(index int) wire.HoldReply {
		t.Helper()
		r, err := store.Hold(ctx, wire.HoldRequest{Writer: "w", Index: index, Wanted: wire.NoIndex, TTL: time.Minute, Current: "f00"})
		must(err)
		return r
	}
	housekeep := func() { t.Helper(); must(store.Housekeep(ctx, 30*24*time.Hour, 0)) }
	gauges := func(version uint64, full bool) {
		t.Helper()
		_, err := store.WriteGauges(ctx, wire.GaugeWrite{Writer: "w", Version: version, Full: full, Own: 1, Ops: []wire.GaugeOp{{Field: "g", Value: "1", Expire: time.Minute}}})
		must(err)
	}
	listed := func(n int) {
		register()
		for range 3 {
			housekeep()
		}
		if left := client.ZCard(ctx, tag+"}:families").Val(); left > 1 {
			t.Errorf("%d of %d families are left", left, n)
		}
	}
	for name, c := range map[string]struct {
		key, command, first, second string
		run                         func(n int)
	}{
		"leases that seem to live": {"}:leases", "HSET", "i:%d", "x " + alive + " %d", func(n int) {
			r := hold(wire.NoIndex)
			if r.Index < 10_000 || r.Index > wire.MaxIndex {
				t.Errorf("%d leases: got the index %d", n, r.Index)
			}
			if again := hold(wire.NoIndex); again.Index != r.Index {
				t.Errorf("%d leases: got the index %d, and then %d", n, r.Index, again.Index)
			}
			if r := hold(r.Index); r.Lost {
				t.Errorf("%d leases: %+v", n, r)
			}
			housekeep()
		}},
		"leases that have expired": {"}:leases", "HSET", "i:%d", "x 1 - - - 0 15000 %d", func(n int) {
			if r := hold(wire.NoIndex); r.Index != 0 {
				t.Errorf("%d leases: got the index %d", n, r.Index)
			}
			housekeep()
			if left := client.HLen(ctx, tag+"}:leases").Val(); left > 3 {
				t.Errorf("%d of %d leases are left", left, n)
			}
		}},
		"leases that are none": {"}:leases", "HSET", "x%d", "x " + alive + " %d", func(n int) {
			hold(wire.NoIndex)
			housekeep()
			if left := client.HLen(ctx, tag+"}:leases").Val(); left > 10_000 { // a later release's would stay
				t.Errorf("%d of %d leases are left", left, n)
			}
		}},
		"families that nobody registered": {"}:families", "ZADD", "1%d", "x%d", listed},
		"names that are none":             {"}:families", "ZADD", "1%d", "x-%d", listed},
		"numbers of writers": {"/a}:ctl", "HSET", "w:%d", "5 %d", func(n int) {
			gen := register().Generation
			if r := store.Commit(ctx, []wire.Commit{{Family: "a", Writer: "w", Generation: gen, Seq: 1, Ops: []wire.Op{{Kind: wire.OpAdd, Field: "x", Value: "1"}}}})[0]; r.Status != wire.CommitOK {
				t.Errorf("%+v", r)
			}
			housekeep()
			if left := client.HLen(ctx, tag+"/a}:ctl").Val(); left > 20 {
				t.Errorf("%d of %d numbers are left", left, n)
			}
		}},
		"numbers of writers, and the values lost": {"/a}:ctl", "HSET", "w:%d", "5 %d", func(int) {
			must(client.Unlink(ctx, tag+"/a}:v").Err())
			register()
		}},
		"series": {"/a}:v", "HSET", "x%d", "%d", func(int) {
			gen := register().Generation
			if r := store.Commit(ctx, []wire.Commit{{
				Family: "a", Writer: "w", Generation: gen, Seq: 1, Limit: 10, Overflow: "over", Totals: true,
				Ops: []wire.Op{{Kind: wire.OpAdd, Field: "new", Value: "1"}, {Kind: wire.OpClear}},
			}})[0]; r.Status != wire.CommitOK {
				t.Errorf("%+v", r)
			}
		}},
		"gauges": {"}:g:w", "HSET", "x%d", "%d", func(n int) {
			hold(wire.NoIndex)
			gauges(1, false)
			gauges(2, true)
			if left := client.HLen(ctx, tag+"}:g:w").Val(); left != 2 {
				t.Errorf("%d of %d gauges are left", left, n)
			}
			must(store.Release(ctx, "w", 0))
		}},
	} {
		longest := func(n int) (worst time.Duration, what []string) {
			t.Helper()
			must(client.FlushAll(ctx).Err())
			register()
			must(client.Eval(ctx, fill, []string{tag + c.key}, n, c.command, c.first, c.second).Err())
			must(client.Do(ctx, "slowlog", "reset").Err())
			c.run(n)
			log, err := client.SlowLogGet(ctx, 100_000).Result()
			must(err)
			for _, entry := range log {
				if strings.EqualFold(entry.Args[0], "evalsha") && entry.Duration > worst {
					worst, what = entry.Duration, entry.Args
				}
			}
			return worst, what
		}
		const few, factor, most = 12_000, 6, 3
		// A call that takes a millisecond is short, however short it was before. On a
		// busy machine any call may have to wait, so that only what stays long is.
		var a, b time.Duration
		var what []string
		for range 5 {
			a, _ = longest(few)
			if b, what = longest(factor * few); b <= most*max(a, time.Millisecond) {
				break
			}
		}
		if b > most*max(a, time.Millisecond) {
			t.Errorf("%s: beside %d the longest call takes %v, and beside %d %v: %.300q", name, few, a, factor*few, b, what)
		}
		t.Logf("%s: %v, %v", name, a, b)
	}
}
