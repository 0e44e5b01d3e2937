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

// oddApps are allowed names that a careless key, pattern or comparison would confuse.
var oddApps = []string{
	"shop", "shop2", "sho", "Shop", "shop:g", "shop:leases", "shop:1", ":", "shoal:1:", "shop\\", "shop.", "shop\xc2\xad",
	"*", "sh*p", "shop?", "[shop]", "^shop$", "(shop)", "%s", "%7Bshop%7D", "\"", "'", "$(shop)", "--", "-1", "0",
	"caf\u00e9", "cafe\u0301", "店", "متجر", "\u202epohs", "sh\u200bop", "\ufeffshop", "🛍️", "🛍", "ſhop", "İ", "i̇", "\ufffd", "\U0010ffff",
}

// Apps on one server neither see nor change each other's data, however similar their names.
func TestApps_WithAnyTwoNamesCanNotReachEachOther(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	type app struct {
		reg   *shoal.Registry
		jobs  *shoal.CounterVec
		depth *shoal.Gauge
		last  *shoal.Gauge
	}
	apps := map[string]app{}
	for i, name := range oddApps {
		reg := f.process(t, func(o *shoal.Opts) {
			o.App, o.Interval, o.RefreshPeriod = name, time.Second, 30*time.Second // so many would keep the machine busy
		})
		a := app{
			reg:   reg,
			jobs:  reg.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"app"}),
			depth: reg.NewGauge(shoal.GaugeOpts{Name: "depth"}),
			last:  reg.NewGauge(shoal.GaugeOpts{Name: "last", Mode: shoal.Latest}),
		}
		a.jobs.WithLabelValues(name).Add(float64(i + 1))
		a.depth.Set(float64(i + 1))
		a.last.Set(float64(i + 1))
		flush(t, reg)
		apps[name] = a
	}
	if len(apps) != len(oddApps) {
		t.Fatal("a name is there twice")
	}
	own := func(name string, i int) {
		t.Helper()
		p := testkit.Scrape(t, apps[name].reg)
		p.Want(t, `depth{gauge_index="0"}`, fmt.Sprint(i+1), "last", fmt.Sprint(i+1), "shoal_instances", "1")
		jobs := p.Of("jobs_total")
		if len(jobs) != 1 || !strings.HasSuffix(jobs[0], fmt.Sprint(" ", i+1)) || len(p.Of("depth")) != 1 {
			t.Errorf("%q shows %q and %q", name, jobs, p.Of("depth"))
		}
	}
	for i, name := range oddApps {
		own(name, i)
	}

	// Each key belongs to one app.
	for key := range dump(t, f.redis) {
		owners := 0
		for _, name := range oddApps {
			if strings.HasPrefix(key, "shoal:1:{"+name+"}:") || strings.HasPrefix(key, "shoal:1:{"+name+"/") {
				owners++
			}
		}
		if owners != 1 {
			t.Errorf("the key %q belongs to %d apps", key, owners)
		}
	}

	// What every second app deletes, resets and closes does not change the others.
	for i, name := range oddApps {
		if i%2 == 0 {
			a := apps[name]
			a.jobs.DeletePartialMatch(nil)
			a.jobs.Reset()
			flush(t, a.reg)
			if err := testkit.Scrape(t, a.reg).Lacks("jobs_total"); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			closeAll(t, a.reg)
		}
	}
	for i, name := range oddApps {
		if i%2 == 1 {
			own(name, i)
		}
	}
}

// Names that would break out of a key, or that would be ambiguous in one.
func TestApps_NamesThatCouldReachOthersAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, name := range []string{
		"", "a}", "{a", "a}:leases", "a/b", "/", "a b", "a\u00a0b", "a\tb", "a\nb", "a\rb", "a\x00b", "a\x7f", "a\u0085b", "a\u2028b", "\xff", "a\xc3",
	} {
		opts := f.quick()
		opts.App = name
		if err := shoal.New().Connect(f.connect(t), opts); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
