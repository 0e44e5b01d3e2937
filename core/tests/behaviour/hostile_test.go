// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// victim is a process with a metric of each kind that is stored differently.
type victim struct {
	*fleet
	heard testkit.Heard
	reg   *shoal.Registry
	c     *shoal.Counter
	h     *shoal.Histogram
	g     *shoal.Gauge
	id    string
	total float64
}

func newVictim(t *testing.T) *victim {
	v := &victim{fleet: newFleet(t)}
	v.reg = v.process(t, hearing(&v.heard))
	v.c = v.reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
	v.h = v.reg.NewHistogram(shoal.HistogramOpts{Name: "h_seconds"})
	v.g = v.reg.NewGauge(shoal.GaugeOpts{Name: "g"})
	v.count(t)
	v.id, _, _ = strings.Cut(v.leases(t)["i:0"], " ")
	return v
}

// count counts and waits for Redis.
func (v *victim) count(t *testing.T) {
	t.Helper()
	v.h.Observe(1)
	v.g.Inc()
	v.total++
	total, err := v.c.AddSync(testkit.Within(t), 1)
	if err != nil || total != v.total {
		t.Fatalf("the total is %v, %v, want %v", total, err, v.total)
	}
	flush(t, v.reg)
}

// wantHealed wants pages that show the process once, with all its metrics, and the
// damage counted.
func (v *victim) wantHealed(t *testing.T, reader *shoal.Registry, told string) {
	t.Helper()
	for _, reg := range []*shoal.Registry{v.reg, reader} {
		testkit.EventuallyPage(t, reg, func(p testkit.Page) error {
			for series, want := range map[string]float64{
				"c_total": v.total, "h_seconds_count": v.total, "shoal_instances": 1, `g{gauge_index="0"}`: v.total,
			} {
				if got, ok := p.Value(series); !ok || got != want {
					return fmt.Errorf("%s is %v, want %v", series, got, want)
				}
			}
			if n, _ := p.Value("shoal_corrupt_values_total"); n == 0 {
				return errors.New("the damage was not counted")
			}
			return nil
		})
	}
	testkit.Eventually(t, func() error { // a page may count damage before the process replaces it
		if n := len(v.heard.Of(told)); n != 1 {
			return fmt.Errorf("OnError heard %d times of %q", n, told)
		}
		return nil
	})
}

// The sequence number of a process's last batch is overwritten with one that it never gave: the
// process goes on under another id, and what it counts arrives once.
func TestHostileNumber_SilencesNoProcess(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{strings.Repeat("9", 30) + " 1", "abc", "", "9007199254740992 1", "-3 1", "nan 1", strings.Repeat("5", 200_000) + " 1"} {
		v := newVictim(t)
		v.set(t, "/c_total}:ctl", "w:"+v.id, entry)
		v.count(t)
		v.count(t)
		v.wantHealed(t, v.reader(t), "in place of the number of this writer's last batch")
		if v.redis.HExists(t.Context(), v.key("}:leases"), "i:1").Val() {
			t.Errorf("%.40q: the process has two leases", entry)
		}
		closeAll(t, v.reg)
	}
}

// The same, but the process counts nothing, so only its refresh sees the number.
func TestHostileNumber_OfAnIdleProcessIsFoundByTheRefresh(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.set(t, "/h_seconds}:ctl", "w:"+v.id, strings.Repeat("9", 30)+" 1")
	testkit.Eventually(t, func() error {
		if n := len(v.heard.Of("in place of the number")); n != 1 {
			return fmt.Errorf("told %d times", n)
		}
		return nil
	})
	v.count(t)
	v.wantHealed(t, v.reader(t), "in place of the number")
}

func TestHostileLease_SilencesNoProcess(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	reader := v.reader(t)
	far := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	for _, index := range []string{"10000000000000000000", "2147483648", "00", "01"} {
		v.set(t, "}:leases", "i:"+index, v.id+" "+far+" - - - 0 15000")
	}
	v.set(t, "}:leases", "i:0", "garbage")
	v.set(t, "}:leases", "lineage", "x "+strings.Repeat("9", 30))
	v.count(t) // the next write of gauges finds no lease
	v.wantHealed(t, reader, "(the leases")
}

func TestHostileGauges_AreReplaced(t *testing.T) {
	t.Parallel()
	for what, put := range map[string]func(v *victim, key string) error{
		"a version of 30 digits": func(v *victim, key string) error {
			return v.redis.HSet(t.Context(), key, "\xfe", strings.Repeat("9", 30)).Err()
		},
		"gauges beside the process's": func(v *victim, key string) error {
			return v.redis.HSet(t.Context(), key, "x", "1 "+strings.Repeat("9", 13), "y", "").Err()
		},
		"a string": func(v *victim, key string) error { return v.redis.Set(t.Context(), key, "x", 0).Err() },
	} {
		v := newVictim(t)
		testkit.Must(t, put(v, v.key("}:g:"+v.id)))
		v.count(t)
		v.wantHealed(t, v.reader(t), "(the gauges of this process")
		testkit.Eventually(t, func() error {
			if v.redis.HExists(t.Context(), v.key("}:g:"+v.id), "x").Val() {
				return fmt.Errorf("%s: they are still there", what)
			}
			return nil
		})
		closeAll(t, v.reg)
	}
}

// The stored version of a process's gauges is one that it did not give, but that another copy of
// the process could have given. The process goes on under another id.
func TestHostileGauges_ALaterVersionSilencesNoProcess(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.set(t, "}:g:"+v.id, "\xfe", "9007199254740991")
	testkit.Eventually(t, func() error {
		if n := len(v.heard.Of("the process was cloned")); n != 1 {
			return fmt.Errorf("told %d times", n)
		}
		return nil
	})
	v.count(t)
	p := testkit.Scrape(t, v.reg)
	if got, ok := p.Value(`g{gauge_index="1"}`); !ok || got != v.total {
		t.Errorf("the gauge is %v, %v", got, ok)
	}
}

// A process replaces a key that it needs and that has another type, and meanwhile no call
// takes seconds.
func TestWrongTypes_AreReplacedByWhoeverNeedsTheKey(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(ctx context.Context, c redis.UniversalClient, key string) error{
		"string": func(ctx context.Context, c redis.UniversalClient, key string) error {
			return c.Set(ctx, key, "x", 0).Err()
		},
		"list": func(ctx context.Context, c redis.UniversalClient, key string) error {
			return c.RPush(ctx, key, "x").Err()
		},
		"stream": func(ctx context.Context, c redis.UniversalClient, key string) error {
			return c.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{"a", "b"}}).Err()
		},
	}
	for kind, put := range kinds {
		for name, told := range map[string]string{
			"}:leases": "(the leases", "}:families": "(the list of families", "/c_total}:ctl": "(the keys of c_total",
			"/h_seconds}:v": "(the keys of h_seconds",
		} {
			v := newVictim(t)
			reader := v.reader(t)
			testkit.Scrape(t, reader)
			key := v.key(name)
			ctx := testkit.Within(t)
			if _, err := v.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.Del(ctx, key)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if err := put(ctx, v.redis, key); err != nil && !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Fatal(err) // WRONGTYPE would mean that the process has already replaced the key
			}
			if v.redis.Type(ctx, key).Val() == "hash" || v.redis.Type(ctx, key).Val() == "zset" {
				continue
			}
			v.h.Observe(1)
			v.g.Inc()
			total, err := v.c.AddSync(ctx, 1)
			if err != nil {
				t.Errorf("%s in place of %s: AddSync: %v", kind, name, err)
			}
			flush(t, v.reg)
			for _, reg := range []*shoal.Registry{v.reg, reader} {
				testkit.EventuallyPage(t, reg, func(p testkit.Page) error {
					if c, _ := p.Value("c_total"); c != total {
						return fmt.Errorf("%s in place of %s: c_total is %v, want %v", kind, name, c, total)
					}
					if n, _ := p.Value("shoal_corrupt_values_total"); n == 0 {
						return errors.New("the damage was not counted")
					}
					if _, ok := p.Value("h_seconds_count"); !ok {
						return errors.New("no histogram")
					}
					return nil
				})
			}
			if n := len(v.heard.Of(told)); n != 1 {
				t.Errorf("%s in place of %s: OnError heard %d times of %q: %.1000q", kind, name, n, told, &v.heard)
			}
			closeAll(t, v.reg)
		}
	}
}
