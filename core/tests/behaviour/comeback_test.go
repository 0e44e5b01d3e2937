// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Redis comes back empty while processes live: from then on a page shows all that they
// counted or set, or it is a 503.
func TestWhenRedisComesBackEmptyNoPageIsNearlyEmpty(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *fleet, *redistest.Server){
		"restarted without persistence": func(t *testing.T, _ *fleet, s *redistest.Server) {
			s.Kill()
			s.Restart(t)
		},
		"FLUSHALL": func(t *testing.T, f *fleet, _ *redistest.Server) {
			testkit.Check(t, f.redis.FlushAll(t.Context()).Err())
		},
		"FLUSHALL twice": func(t *testing.T, f *fleet, _ *redistest.Server) {
			for range 2 {
				testkit.Check(t, f.redis.FlushAll(t.Context()).Err())
				f.passes(t, 50*time.Millisecond)
			}
		},
		"the leases alone": func(t *testing.T, f *fleet, _ *redistest.Server) {
			testkit.Check(t, f.redis.Del(t.Context(), f.key("}:leases")).Err())
		},
		"the families alone": func(t *testing.T, f *fleet, _ *redistest.Server) {
			var keys []string
			for key := range dump(t, f.redis) {
				if strings.HasSuffix(key, ":ctl") || strings.HasSuffix(key, ":v") {
					keys = append(keys, key)
				}
			}
			testkit.Check(t, f.redis.Del(t.Context(), keys...).Err()) // at one moment
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			f := fleetOn(t, server)
			short := func(o *shoal.Opts) { o.LeaseDuration, o.RefreshPeriod = 3*time.Second, 3*time.Second }
			a, b := f.process(t, short), f.process(t, short)
			exporter := f.reader(t, short)
			a.NewCounter(shoal.CounterOpts{Name: "a_total"}).Inc()
			b.NewCounter(shoal.CounterOpts{Name: "b_total"}).Inc()
			a.NewGauge(shoal.GaugeOpts{Name: "level"}).Set(1)
			b.NewGauge(shoal.GaugeOpts{Name: "level"}).Set(1)
			flush(t, a, b)
			all := func(p testkit.Page) error {
				for _, series := range []string{"a_total", "b_total", `level{gauge_index="0"}`, `level{gauge_index="1"}`} {
					if _, ok := p.Value(series); !ok {
						return fmt.Errorf("no %s", series)
					}
				}
				return p.Has("shoal_instances", "2")
			}
			for _, reg := range []*shoal.Registry{a, b, exporter} {
				testkit.Must(t, all(testkit.Scrape(t, reg)))
			}
			lose(t, f, server)
			for _, reg := range []*shoal.Registry{exporter, a, b, a, exporter} {
				testkit.EventuallyPage(t, reg, func(p testkit.Page) error {
					if err := all(p); err != nil {
						t.Fatalf("%v on the page:\n%s", err, p.Text)
					}
					return nil
				})
			}
		})
	}
}
