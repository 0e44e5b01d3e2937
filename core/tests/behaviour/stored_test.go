// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// now is the server's time.
func (f *fleet) now(t testing.TB) time.Time {
	t.Helper()
	now, err := f.redis.Time(t.Context()).Result()
	testkit.Must(t, err)
	return now
}

// passes waits until d has passed on the server's clock.
func (f *fleet) passes(t testing.TB, d time.Duration) {
	t.Helper()
	begin := f.now(t)
	testkit.Eventually(t, func() error {
		if f.now(t).Sub(begin) < d {
			return errors.New("it is too early")
		}
		return nil
	})
}

// set overwrites a field of one of the app's keys.
func (f *fleet) set(t testing.TB, key, field, text string) {
	t.Helper()
	testkit.Must(t, f.redis.HSet(t.Context(), f.key(key), field, text).Err())
}

// dump returns the contents of every key of a server, for comparison.
func dump(t testing.TB, client redis.UniversalClient) map[string]string {
	t.Helper()
	ctx := t.Context()
	keys, err := client.Keys(ctx, "*").Result()
	testkit.Must(t, err)
	all := make(map[string]string, len(keys))
	for _, key := range keys {
		switch kind := client.Type(ctx, key).Val(); kind {
		case "hash":
			all[key] = fmt.Sprint(client.HGetAll(ctx, key).Val())
		case "zset":
			all[key] = fmt.Sprint(client.ZRangeWithScores(ctx, key, 0, -1).Val())
		default:
			all[key] = kind
		}
	}
	return all
}

// sameDump fails the test where two dumps differ.
func sameDump(t testing.TB, before, after map[string]string) {
	t.Helper()
	for key, text := range after {
		if old, ok := before[key]; !ok || old != text {
			t.Errorf("the key %q changed from %q to %q", key, old, text)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			t.Errorf("the key %q is gone", key)
		}
	}
}

// gaugeKeys lists the keys that hold gauges of the app's processes.
func (f *fleet) gaugeKeys(t testing.TB) []string {
	t.Helper()
	keys, err := f.redis.Keys(t.Context(), f.key("}:g:*")).Result()
	testkit.Must(t, err)
	return keys
}

// wantNoTrace fails the test if gauges or leases of the app's processes are left.
func (f *fleet) wantNoTrace(t testing.TB) {
	t.Helper()
	if keys, leases := f.gaugeKeys(t), f.leases(t); len(keys)+len(leases) > 0 {
		t.Errorf("keys %q and leases %q are left", keys, leases)
	}
}

// leases lists the leases, by index.
func (f *fleet) leases(t testing.TB) map[string]string {
	t.Helper()
	leases, err := f.redis.HGetAll(t.Context(), f.key("}:leases")).Result()
	testkit.Must(t, err)
	delete(leases, "lineage") // another field of the same hash
	return leases
}

// Metrics can be read with redis-cli: HGETALL shows them in plain text under the documented
// keys.
func TestKeys_CanBeWatchedInRedisCLI(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t, func(o *shoal.Opts) { o.LeaseDuration, o.Version = time.Minute, "1.2" })
	reg.NewCounterVec(shoal.CounterOpts{Name: "orders_total", Help: "Orders placed."},
		[]string{"currency"}).WithLabelValues("EUR").Add(3)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 20, 25.5}})
	h.Observe(25.4)
	h.Observe(3)
	s := reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	s.Observe(2.5)
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(11.2)
	reg.NewGauge(shoal.GaugeOpts{Name: "last_success", Mode: shoal.Latest}).Set(1)
	flush(t, reg)

	hash := func(key string) map[string]string {
		t.Helper()
		m := f.redis.HGetAll(t.Context(), key).Val()
		if len(m) == 0 {
			t.Errorf("HGETALL %s is empty", key)
		}
		return m
	}

	generation := hash(f.family("orders_total", "ctl"))["gen"]
	for key, want := range map[string]map[string]string{
		f.family("orders_total", "v"): {"currency\xffEUR": "3", "\xfe": generation},
		f.family("took_seconds", "v"): {"": "20:1 25.5:1 sum:28.399999999999999"},
		f.family("size_bytes", "v"):   {"": "sum:2.5 count:1"},
		f.family("orders_total", "ctl"): {
			"type": "counter", "help": "Orders placed.", "gen": generation,
		},
		f.family("took_seconds", "ctl"): {"type": "histogram", "bounds": "1 20 25.5"},
		f.family("depth", "ctl"):        {"type": "gauge", "mode": ""},
		f.family("last_success", "ctl"): {"type": "gauge", "mode": "latest"},
	} {
		got := hash(key)
		for field, text := range want {
			if got[field] != text {
				t.Errorf("HGET %s %q is %q, want %q", key, field, got[field], text)
			}
		}
	}
	if v := hash(f.gaugeKeys(t)[0])["depth"]; !strings.HasPrefix(v, "11.2 ") {
		t.Errorf("the gauge is stored as %q", v)
	}
	if v := hash(f.family("last_success", "v"))[""]; !strings.HasPrefix(v, "1 ") {
		t.Errorf("the gauge of no process is stored as %q", v)
	}

	lease := strings.Fields(hash(f.key("}:leases"))["i:0"])
	if len(lease) < 6 || lease[3] != "h" || lease[4] != "1.2" {
		t.Errorf("the lease is %q, want writer, deadline, lineage, host, version, start", lease)
	}
	if keys := f.gaugeKeys(t); len(keys) != 1 || !strings.HasSuffix(keys[0], ":g:"+lease[0]) {
		t.Errorf("the gauges are under %q, want them under the writer %q", keys, lease[0])
	}
	listed := f.redis.ZRange(t.Context(), f.key("}:families"), 0, -1).Val()
	if text := strings.Join(listed, " ") + " "; !strings.Contains(text, "orders_total ") || !strings.Contains(text, "depth ") {
		t.Errorf("the list of families is %q", listed)
	}
}
