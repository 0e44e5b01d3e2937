// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// fill puts n entries into a hash or a sorted set. In the formats of field and value, %d is the
// number of the entry.
const fill = `
for i = 0, ARGV[1] - 1 do
  redis.call(ARGV[2], KEYS[1], string.format(ARGV[3], i), string.format(ARGV[4], i))
end
return 1`

// crowd fills a key of an app that has the counter a, and then makes the calls that use the key.
type crowd struct {
	key                    func(app string) string
	command, first, second string
	run                    func(f *redisFixture, n int)
}

func leased() wire.HoldRequest {
	req := hold("w")
	req.Current = "f00"
	return req
}

// left wants at most so many of n entries to be left.
func (f *redisFixture) left(most int64, key string, n int) {
	f.Helper()
	left := f.client.HLen(f.ctx, key).Val()
	if f.client.Type(f.ctx, key).Val() == "zset" {
		left = f.client.ZCard(f.ctx, key).Val()
	}
	if left > most {
		f.Errorf("%d of %d entries are left", left, n)
	}
}

func listed(f *redisFixture, n int) {
	f.family("a", wire.TypeCounter)
	for range 3 {
		f.housekeep(retention)
	}
	f.left(1, familiesKey(f.app), n)
}

func crowds() map[string]crowd {
	alive := fmt.Sprintf("%d - - - 0 86400000", time.Now().Add(time.Hour).UnixMilli())
	control := func(app string) string { return controlKey(app, "a") }
	values := func(app string) string { return valuesKey(app, "a") }
	gauges := func(app string) string { return gaugesKey(app, "w") }
	return map[string]crowd{
		"leases that seem to live": {leasesKey, "HSET", "i:%d", "x " + alive + " %d", func(f *redisFixture, n int) {
			given := map[int]bool{}
			for i := range 100 { // all from 0 to n-1 are taken
				req := leased()
				req.Writer = fmt.Sprint("w", i)
				r := f.hold(req)
				if req.Index = r.Index; r.Index < n || r.Index > 3*n || given[r.Index] {
					f.Errorf("%d leases: got the index %d", n, r.Index)
				}
				given[r.Index] = true
				if again := f.hold(req); again.Index != r.Index || again.Lost {
					f.Errorf("%d leases: got the index %d, and then %+v", n, r.Index, again)
				}
			}
			f.housekeep(retention)
		}},
		"leases that have expired": {leasesKey, "HSET", "i:%d", "x 1 - - - 0 15000 %d", func(f *redisFixture, n int) {
			if r := f.hold(leased()); r.Index >= n {
				f.Errorf("%d leases: got the index %d", n, r.Index)
			}
			f.housekeep(retention)
			f.left(5, leasesKey(f.app), n) // the new one, the lineage, housekept, next, left
		}},
		"leases that are none": {leasesKey, "HSET", "x%d", "x " + alive + " %d", func(f *redisFixture, n int) {
			f.hold(leased())
			f.housekeep(retention)
			f.left(10_000, leasesKey(f.app), n) // fields of a later release may stay
		}},
		"families that nobody registered": {familiesKey, "ZADD", "1%d", "x%d", listed},
		"names that are none":             {familiesKey, "ZADD", "1%d", "x-%d", listed},
		"numbers of writers": {control, "HSET", "w:%d", "5 %d", func(f *redisFixture, n int) {
			f.apply(step(f.family("a", wire.TypeCounter), 1))
			f.housekeep(retention)
			f.left(20, control(f.app), n)
		}},
		"numbers of writers, and the values lost": {control, "HSET", "w:%d", "5 %d", func(f *redisFixture, _ int) {
			f.must(f.client.Unlink(f.ctx, values(f.app)).Err())
			f.family("a", wire.TypeCounter)
		}},
		"series": {values, "HSET", "x%d", "%d", func(f *redisFixture, _ int) {
			f.apply(capped(batch("a", f.family("a", wire.TypeCounter), 0, 1, add("new", "1"), clearAll), 10))
		}},
		"series, and a Reset comes late": {values, "HSET", "x%d", "%d", func(f *redisFixture, n int) {
			gen := f.family("a", wire.TypeCounter)
			now := f.head().Now
			young := add("young", "1")
			young.Born = now.UnixMicro()
			f.apply(batch("a", gen, 0, 1, young))
			late := clearAll
			late.Born = now.Add(-time.Minute).UnixMicro()
			if reply := f.apply(batch("a", gen, 1, 2, late)); reply.Removed != n {
				f.Errorf("a Reset removed %d of %d series", reply.Removed, n)
			}
			f.left(2, values(f.app), n) // the young one, the generation
		}},
		"gauges": {gauges, "HSET", "x%d", "%d", func(f *redisFixture, n int) {
			index := f.hold(leased()).Index
			for version, want := range []wire.GaugeStatus{wire.GaugesMixed, wire.GaugesOK} {
				w := write(uint64(version)+1, version > 0, set("g", "1")) // a few
				w.Own = 1
				f.gauges(w, want)
			}
			f.left(2, gauges(f.app), n)
			f.release("w", index)
		}},
	}
}

// Other clients wait while a call is executed. However many entries somebody put into a key of
// shoal's, no call takes longer than some bound: with six times as many entries, the longest call
// takes as long as before.
func TestCrowdedKeys_NoCallTakesLongerForIt(t *testing.T) {
	for name, c := range crowds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const few, factor, most = 12_000, 6, 3
			client := redistest.Start(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000").Client(t)
			// calls are the script calls of a run, in order.
			calls := func(n int) (list []redis.SlowLog) {
				t.Helper()
				f := &redisFixture{fixture: newFixture(t, RedisTarget(client)), client: client, mended: map[string]int{}}
				f.family("a", wire.TypeCounter)
				f.must(client.Eval(f.ctx, fill, []string{c.key(f.app)}, n, c.command, c.first, c.second).Err())
				f.must(client.Do(f.ctx, "slowlog", "reset").Err())
				c.run(f, n)
				log, err := client.SlowLogGet(f.ctx, 100_000).Result()
				f.must(err)
				for _, entry := range log {
					if strings.EqualFold(entry.Args[0], "evalsha") {
						list = append(list, entry)
					}
				}
				f.must(client.FlushAll(f.ctx).Err())
				return list
			}
			// A call of a millisecond is short enough, however short it was before. On a
			// busy machine any call may have to wait, so the time of each is the shortest of
			// several runs, which make the same calls.
			var a, b time.Duration
			var what []string
			var shortest []redis.SlowLog
			for range 5 {
				a = 0
				for _, call := range calls(few) {
					a = max(a, call.Duration)
				}
				run := calls(factor * few)
				for i := range run {
					if len(run) == len(shortest) {
						run[i].Duration = min(run[i].Duration, shortest[i].Duration)
					}
				}
				shortest, b = run, 0
				for _, call := range run {
					if call.Duration > b {
						b, what = call.Duration, call.Args
					}
				}
				if b <= most*max(a, time.Millisecond) {
					break
				}
			}
			if b > most*max(a, time.Millisecond) {
				t.Errorf("beside %d the longest call takes %v, and beside %d %v: %.300q", few, a, factor*few, b, what)
			}
			t.Logf("%v, %v", a, b)
		})
	}
}

// However much somebody stores in place of marks, a page reads a bounded part of it.
func TestHostileMarks_AreReadWithinBounds(t *testing.T) {
	client := redistest.Start(t).Client(t)
	f := &redisFixture{fixture: newFixture(t, RedisTarget(client)), client: client}
	gen := f.family("a", wire.TypeCounter)
	fields, ops := make([]string, 5000), make([]wire.Op, 5000)
	for i := range ops {
		fields[i] = fmt.Sprint("k\xff", i)
		ops[i] = held(fields[i], 100)
	}
	f.apply(batch("a", gen, 0, 1, ops...))
	key := marksKey(f.app, "a")
	bucket, _ := storedMark(fields[0], 0, 0)
	second := neighbour(fields[0])
	f.must(client.Eval(f.ctx, fill, []string{key}, 300_000, "HSET", "junk%d", "%d").Err())
	f.must(client.HSet(f.ctx, key, bucket, strings.Repeat("x", 50<<20)).Err())
	want := func(most int64) {
		t.Helper()
		for range 2 { // the second time, the reader knows that there is a text that is too long
			before := commandStat(t, client, "evalsha", "calls")
			starts := f.starts("a", gen, fields...)
			for i, start := range starts {
				if b, _ := storedMark(fields[i], 0, 0); start != 0 && start != 100 || start == 100 && most == 0 || start == 0 && most > 0 && b != bucket {
					t.Fatalf("%q began at %d", fields[i], start)
				}
			}
			if calls := commandStat(t, client, "evalsha", "calls") - before; calls > 150 {
				t.Errorf("%v calls", calls)
			}
		}
	}
	want(100)
	f.apply(batch("a", gen, 1, 2, held(second, 100)))
	f.wantStart(gen, second, 100) // the text was replaced

	// More than a reader takes: then the family has no starts.
	for i := range 1024 {
		f.must(client.HSet(f.ctx, key, fmt.Sprint(i), strings.Repeat("y", 60_000)).Err())
	}
	want(0)
}
