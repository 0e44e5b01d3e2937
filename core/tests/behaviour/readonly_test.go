// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// A registry that only reads serves the page and leaves no trace.
func TestReadOnly_WritesNothing(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	abandonedApp(t, f)
	before := dump(t, f.redis)
	if err := f.redis.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}

	reg := f.reader(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "own_total"})
	g := reg.NewGauge(shoal.GaugeOpts{Name: "own_depth"})
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "codes_total"}, []string{"code"})
	c.Inc()
	g.Set(1)
	v.WithLabelValues("1").Inc()
	v.Reset()
	if _, err := c.IncSync(within(t)); !errors.Is(err, shoal.ErrReadOnly) {
		t.Errorf("IncSync gives %v", err)
	}
	if err := g.SetSync(within(t), 1); !errors.Is(err, shoal.ErrReadOnly) {
		t.Errorf("SetSync gives %v", err)
	}
	if err := reg.Flush(within(t)); err != nil {
		t.Errorf("Flush gives %v", err)
	}
	for range 3 {
		p := scrape(t, reg)
		p.want(t, "jobs_total", "800")
		if err := p.lacks("own"); err != nil {
			t.Error(err)
		}
	}
	if list, err := reg.Instances(within(t)); err != nil || len(list) != 0 {
		t.Errorf("Instances gives %v, %v", list, err)
	}
	closeAll(t, reg)

	names, _ := commands(t, f.redis)
	sameDump(t, before, dump(t, f.redis))
	for _, name := range names {
		if !slices.Contains(readCommands, name) {
			t.Errorf("it calls %s", name)
		}
	}
}

// A user of Redis may hold the rights to no writing command.
func TestReadOnly_NeedsNoRightToWrite(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	requests(reg, 100)
	flush(t, reg)
	rule := []any{"ACL", "SETUSER", "viewer", "on", ">pass", "~shoal:1:*",
		"+@read", "+@connection", "+evalsha", "+eval", "+time", "-@write", "-keys", "-scan"}
	if err := f.redis.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	viewer := shoal.New()
	opts := f.quick()
	opts.ReadOnly = true
	if err := viewer.Open("redis://viewer:pass@"+server.Addr, opts); err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, viewer)
	want := scrape(t, reg).users()
	if got := scrape(t, viewer).users(); got != want || !strings.Contains(got, "jobs_total 400\n") {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
}
