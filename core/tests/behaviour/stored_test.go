// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// gaugeKeys lists the keys that hold gauges of the app's processes.
func (f *fleet) gaugeKeys(t testing.TB) []string {
	t.Helper()
	keys, err := f.redis.Keys(t.Context(), "shoal:1:{"+f.app+"}:g:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// leases lists who holds which index.
func (f *fleet) leases(t testing.TB) map[string]string {
	t.Helper()
	leases, err := f.redis.HGetAll(t.Context(), "shoal:1:{"+f.app+"}:leases").Result()
	if err != nil {
		t.Fatal(err)
	}
	delete(leases, "lineage") // stands beside them
	return leases
}

// storedGauge is a gauge as it is in Redis.
type storedGauge struct {
	value    string
	deadline time.Time
}

// storedGauge reads a gauge without labels of the app's only process.
func (f *fleet) storedGauge(t testing.TB, name string) storedGauge {
	t.Helper()
	for _, key := range f.gaugeKeys(t) {
		text := f.redis.HGet(t.Context(), key, name).Val()
		value, deadline, _ := strings.Cut(text, " ")
		if ms, err := strconv.ParseInt(deadline, 10, 64); err == nil {
			return storedGauge{value, time.UnixMilli(ms)}
		}
	}
	t.Fatalf("no gauge %s is stored", name)
	return storedGauge{}
}

// Whoever has redis-cli can watch the metrics: HGETALL shows them in plain
// text under the documented keys.
func TestKeys_CanBeWatchedInRedisCLI(t *testing.T) {
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
	family := func(name string) string { return "shoal:1:{" + f.app + "/" + name + "}" }

	generation := hash(family("orders_total") + ":ctl")["gen"]
	for key, want := range map[string]map[string]string{
		family("orders_total") + ":v": {"currency\xffEUR": "3", "\xfe": generation},
		family("took_seconds") + ":v": {"": "20:1 25.5:1 sum:28.399999999999999"},
		family("size_bytes") + ":v":   {"": "sum:2.5 count:1"},
		family("orders_total") + ":ctl": {
			"type": "counter", "help": "Orders placed.", "gen": generation,
		},
		family("took_seconds") + ":ctl": {"type": "histogram", "bounds": "1 20 25.5"},
		family("depth") + ":ctl":        {"type": "gauge", "mode": ""},
		family("last_success") + ":ctl": {"type": "gauge", "mode": "latest"},
	} {
		got := hash(key)
		for field, text := range want {
			if got[field] != text {
				t.Errorf("HGET %s %q is %q, want %q", key, field, got[field], text)
			}
		}
	}
	if v := f.storedGauge(t, "depth").value; v != "11.2" {
		t.Errorf("the gauge is stored as %q", v)
	}
	if v := hash(family("last_success") + ":v")[""]; !strings.HasPrefix(v, "1 ") {
		t.Errorf("the gauge of no process is stored as %q", v)
	}

	lease := strings.Fields(hash("shoal:1:{" + f.app + "}:leases")["i:0"])
	if len(lease) < 6 || lease[3] != "h" || lease[4] != "1.2" {
		t.Errorf("the lease is %q, want writer, deadline, lineage, host, version, start", lease)
	}
	if keys := f.gaugeKeys(t); len(keys) != 1 || !strings.HasSuffix(keys[0], ":g:"+lease[0]) {
		t.Errorf("the gauges are under %q, want them under the writer %q", keys, lease[0])
	}
	listed := f.redis.ZRange(t.Context(), "shoal:1:{"+f.app+"}:families", 0, -1).Val()
	if text := strings.Join(listed, " ") + " "; !strings.Contains(text, "orders_total ") || !strings.Contains(text, "depth ") {
		t.Errorf("the list of families is %q", listed)
	}
}
