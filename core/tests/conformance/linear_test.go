// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// shapes make texts of about n bytes. A careless Lua pattern scans such a text again from each of its
// characters.
var shapes = map[string]func(n int) string{
	"letters":    func(n int) string { return strings.Repeat("a", n) },
	"colons":     func(n int) string { return strings.Repeat(":", n) },
	"spaces":     func(n int) string { return strings.Repeat(" ", n) },
	"digits":     func(n int) string { return strings.Repeat("9", n) },
	"zeros":      func(n int) string { return strings.Repeat("0", n-1) + "1" },
	"fraction":   func(n int) string { return "0." + strings.Repeat("0", n-3) + "1" },
	"signs":      func(n int) string { return strings.Repeat("+-", n/2) },
	"exponents":  func(n int) string { return strings.Repeat("1e", n/2) },
	"components": func(n int) string { return strings.TrimSuffix(strings.Repeat("7:1 ", n/4), " ") },
	"foreign":    func(n int) string { return strings.TrimSuffix(strings.Repeat("a:1 ", n/4), " ") },
	"no end":     func(n int) string { return strings.Repeat("7:1 ", n/4) },
	"bad end":    func(n int) string { return strings.Repeat("7:1 ", n/4) + "x" },
	"values":     func(n int) string { return "1:" + strings.Repeat("8", n-2) },
	"names":      func(n int) string { return "sum:1 " + strings.Repeat("8", n-8) + ":1" },
	"pairs":      func(n int) string { return strings.Repeat("1:", n/2) + "1" },
	"words":      func(n int) string { return strings.Repeat("1 ", n/2) },
	"long words": func(n int) string { return strings.Repeat(strings.Repeat("x", n/8)+" ", 8) },
	"number":     func(n int) string { return "5 " + strings.Repeat("5", n-2) },
	"no number":  func(n int) string { return strings.Repeat("5", n-2) + " x" },
	"bounds":     func(n int) string { return ascending(n) },
	"marks": func(n int) string { // of one series, again and again
		_, mark := storedMark("x", 5, 200)
		return strings.Repeat(mark, n/len(mark))
	},
}

func ascending(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()[:b.Len()-1]
}

// attack stores a text somewhere, and then makes the call that reads it.
type attack struct {
	put func(text string) error
	run func() error
}

// attacks are on all texts that writing scripts read.
func attacks(t *testing.T, client *redis.Client) map[string]attack {
	f := newFixture(t, RedisTarget(client))
	seq, gen := uint64(0), ""
	register := func() error {
		r := registration("a", "w", wire.TypeHistogram)
		r.Bounds = []string{"1", "2"}
		gen = f.register(r).Generation
		return nil
	}
	hset := func(key, field string) func(string) error {
		return func(text string) error { return client.HSet(f.ctx, key, field, text).Err() }
	}
	commit := func(limit int, ops ...wire.Op) func() error {
		return func() error {
			seq++
			c := capped(batch("a", gen, seq-1, seq, ops...), limit)
			c.Writer = "w"
			f.apply(c)
			return nil
		}
	}
	wide := add("x", strings.ReplaceAll(ascending(4000), " ", ":1 ")+":1")
	renew := func() error {
		_, err := f.store.Hold(f.ctx, wire.HoldRequest{Writer: "w", Index: 0, Wanted: wire.NoIndex, TTL: 1e9, Current: "f00"})
		return err
	}
	housekeep := func() error {
		_, err := f.store.Housekeep(f.ctx, time.Hour, 0)
		return err
	}
	gauges := func() error {
		return f.writeGauges(write(1, true, set("g", "1"))).Err
	}
	silent := func() error { // a batch that is not applied because of the writer's entry
		f.store.Commit(f.ctx, []wire.Commit{{Family: "a", Writer: "v", Generation: gen, Prev: 1, Seq: 2}})
		return nil
	}
	mark := func() error {
		return f.store.Mark(f.ctx, []wire.Mark{{Family: "a", Generation: gen, Fields: []string{"x", "new"}}})[0].Err
	}
	idle := func() error {
		_, err := wire.RemoveExpired(f.ctx, f.store, "a")
		return err
	}
	_ = register()
	control, values, marks, leases := controlKey(f.app, "a"), valuesKey(f.app, "a"), marksKey(f.app, "a"), leasesKey(f.app)
	bucket, _ := storedMark("x", 0, 0)
	all := map[string]attack{
		"commit, vector":      {hset(values, "x"), commit(0, add("x", "1:1 2:1 sum:1.5"))},
		"commit, wide vector": {hset(values, "x"), commit(0, wide)},
		"commit, summary":     {hset(values, "x"), commit(0, add("x", "sum:1 count:1"))},
		"commit, number":      {hset(values, "x"), commit(0, add("x", "1"))},
		"commit, latest":      {hset(values, "x"), commit(0, latest("x", "1 1 0"))},
		"commit, delete":      {hset(values, "x"), commit(0, deleteX)},
		"commit, overflow":    {hset(values, "over"), commit(1, add("new", "1:1"), add("new2", "1:1"))},
		"commit, entry":       {hset(control, "w:v"), silent},
		"commit, shape":       {hset(control, "shape"), commit(0, deleteX)},
		"commit, marks":       {hset(marks, bucket), commit(0, deleteX, held("y", 5))},
		"commit, removal":     {hset(control, "removed"), commit(0, deleteX, held("y", 5))},
		"commit, epoch":       {hset(control, "epoch"), commit(0, deleteX, held("y", 5))},
		"mark, marks":         {hset(marks, bucket), mark},
		"mark, epoch":         {hset(control, "epoch"), mark},
		"idle, marks":         {hset(marks, bucket), idle},
		"idle, epoch":         {hset(control, "epoch"), idle},
		"idle, retention":     {hset(control, "retention"), idle},
		"idle, value":         {hset(values, "x"), idle},
		"hold, own entry":     {hset(leases, "i:0"), renew},
		"hold, another":       {hset(leases, "i:7"), renew},
		"hold, record":        {hset(leases, "lineage"), renew},
		"gauges, lease":       {hset(leases, "i:0"), gauges},
		"gauges, version":     {hset(gaugesKey(f.app, "w"), "\xfe"), gauges},
		"housekeep, entry":    {hset(control, "w:v"), housekeep},
		"housekeep, lease":    {hset(leases, "i:7"), housekeep},
		"housekeep, turn":     {hset(leases, "housekept"), housekeep},
		"housekeep, name": {func(text string) error {
			return client.ZAdd(f.ctx, familiesKey(f.app), redis.Z{Member: text}).Err()
		}, housekeep},
	}
	for _, field := range []string{"type", "help", "mode", "bounds", "born", "created", "orphan", "w:w", "retention", "epoch", "removed"} {
		all["register, "+field] = attack{hset(control, field), func() error {
			err := register()
			client.HDel(f.ctx, control, "w:w")
			seq = 0
			return err
		}}
	}
	return all
}

// A text that is four times as long takes a script four times as long, whatever its
// contents. (Scanning it again from each character would take 16 times as long.)
func TestHostileText_CostsAScriptNoMoreThanItsLength(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	const short, factor, most, tries = 12 << 10, 4, 9, 3
	for place, a := range attacks(t, client) {
		for shape, text := range shapes {
			took := func(n int) (least float64) {
				t.Helper()
				for range tries {
					if err := a.put(text(n)); err != nil {
						t.Fatal(err)
					}
					client.ConfigResetStat(t.Context())
					if err := a.run(); err != nil {
						t.Fatalf("%s, %s: %v", place, shape, err)
					}
					if us := commandStat(t, client, "evalsha", "usec"); least == 0 || us < least {
						least = us
					}
				}
				return least
			}
			// Below 100 µs the time is mostly the script's own.
			a, b := max(took(short), 100), took(factor*short)
			for again := 0; b > most*a && again < 10; again++ { // on a busy machine, any may have to wait
				b = min(b, took(factor*short))
			}
			if b > most*a {
				t.Errorf("%s, %s: %d bytes take %v µs, and %d bytes %v µs", place, shape, short, a, factor*short, b)
			}
		}
	}
}

// Entries among the leases that are too long for a lease are neither scanned nor copied when a
// process takes its own lease.
func TestHostileText_InOthersLeasesCostsNobody(t *testing.T) {
	client := redistest.Start(t).Client(t)
	f := &redisFixture{fixture: newFixture(t, RedisTarget(client)), client: client}
	took := func(n int) (least float64) {
		t.Helper()
		for i := range 8 {
			f.set(leasesKey(f.app), "i:1"+strconv.Itoa(i), "x 99999999999999 "+strings.Repeat("-", n))
		}
		for range 5 {
			client.ConfigResetStat(f.ctx)
			f.hold(hold(rand.Text()))
			if us := commandStat(t, client, "evalsha", "usec"); least == 0 || us < least {
				least = us
			}
		}
		return least
	}
	// Copying 128 MiB takes at least 20 ms.
	if a, b := max(took(8), 1000), took(16<<20); b > 5*a {
		t.Errorf("beside short leases it takes %v µs, and beside long ones %v µs", a, b)
	}
}

// commandStat reads a figure that a server has of a command since its statistics were reset.
func commandStat(t testing.TB, client *redis.Client, command, figure string) float64 {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "cmdstat_"+command+":")
	_, rest, _ = strings.Cut(rest, figure+"=")
	text, _, _ := strings.Cut(rest, ",")
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return value
}
