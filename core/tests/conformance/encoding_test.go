// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/rand"
	"strconv"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestFamily_IsNeverKeptAsAListThatRedisWalksThrough(t *testing.T) {
	server := redistest.Shared(t)
	client := server.Client(t)
	app := rand.Text()
	reg := shoal.New()
	if err := reg.Open(server.URL(), shoal.Opts{App: app}); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "a"}).Inc()
	if err := reg.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ctl", "v", "m"} {
		key = "shoal:1:{" + app + "/a}:" + key
		if encoding := client.ObjectEncoding(t.Context(), key).Val(); encoding != "hashtable" {
			t.Errorf("%s is kept as a %s", key, encoding)
		}
	}
}

// A process must not pay for marks with memory: less than 60 bytes for each series.
func TestMarks_TakeLessThan60BytesASeries(t *testing.T) {
	const most = 60
	client := redistest.Start(t).Client(t)
	used := func() int64 {
		t.Helper()
		info, err := client.Info(t.Context(), "memory").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(info, "used_memory:")
		text, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, series := range []int{1000, 10_000, 100_000} {
		f := newFixture(t, RedisTarget(client))
		r := registration("a", "w1", wire.TypeCounter)
		r.Nonce = strings.Repeat("x", 65) // as shoal's: so that Redis keeps a hash table
		gen := f.register(r).Generation
		empty := client.MemoryUsage(f.ctx, marksKey(f.app, "a"), 0).Val()
		for from := 0; from < series; from += 256 {
			var ops []wire.Op
			for i := from; i < min(series, from+256); i++ {
				ops = append(ops, held("path\xff/api/v1/things/"+strconv.Itoa(i), 1795437613912861))
			}
			c := batch("a", gen, uint64(from), uint64(from)+256, ops...)
			c.Totals = false
			f.apply(c)
		}
		told := client.MemoryUsage(f.ctx, marksKey(f.app, "a"), 0).Val() - empty
		before := used()
		f.target.LoseMarks(t, f.app, "a")
		freed := before - used()
		if told > most*int64(series) || freed > most*int64(series) || told == 0 {
			t.Errorf("%d series: their marks take %d bytes, and %d are free without them", series, told, freed)
		}
		t.Logf("%d series: %.1f bytes each by MEMORY USAGE, %.1f by used_memory", series, float64(told)/float64(series), float64(freed)/float64(series))
	}
}
