// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// backwards is by how much the store's clock is set back, or the clock of a replica that takes over is slow.
var backwards = map[string]time.Duration{
	"a little": 300 * time.Millisecond, "a second": time.Second, "some": 10 * time.Second,
	"an hour": time.Hour, "years": 30 * 365 * 24 * time.Hour,
}

func inClockBubbles(t *testing.T, test func(t *testing.T, server *memstore.Server, back time.Duration)) {
	for name, back := range backwards {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, memstore.New(), back) })
		})
	}
}

func TestClockSetBack_ASetThatIsConfirmedIsShown(t *testing.T) {
	inClockBubbles(t, func(t *testing.T, server *memstore.Server, back time.Duration) {
		a, b := process(t, server, Opts{}), process(t, server, Opts{})
		opts := GaugeOpts{Name: "last", Mode: Latest}
		inA, inB := a.NewGauge(opts), b.NewGauge(opts)
		if err := inA.SetSync(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		elapse(200 * time.Millisecond)
		server.Advance(-back)
		// Before and after the next heartbeat, by which each process learns of it.
		for n, g := range []*Gauge{inB, inA, inB, inA} {
			if err := g.SetSync(t.Context(), float64(n)+2); err != nil {
				t.Fatal(err)
			}
			stored(t, server).want(t, samples{"last": float64(n) + 2})
			elapse(time.Duration(n) * 3 * time.Second)
		}
		inB.Set(9)
		elapse(2 * time.Second)
		stored(t, server).want(t, samples{"last": 9})
	})
}

func TestClockSetBack_AnExpiryIsNoLonger(t *testing.T) {
	inClockBubbles(t, func(t *testing.T, server *memstore.Server, back time.Duration) {
		r := process(t, server, Opts{})
		g := r.NewGauge(GaugeOpts{Name: "last", Mode: Latest, Expire: time.Minute})
		elapse(time.Second)
		server.Advance(-back)
		if err := g.SetSync(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		elapse(59 * time.Second)
		stored(t, server).want(t, samples{"last": 1})
		elapse(2 * time.Second)
		stored(t, server).lacks(t, "last")
	})
}

func TestClockSetBack_TheYoungestDefinitionIsShownAndStays(t *testing.T) {
	inClockBubbles(t, func(t *testing.T, server *memstore.Server, back time.Duration) {
		defer func(before time.Time) { started = before }(started)
		started = time.Now()
		help := func() string {
			_, text, _ := strings.Cut(get(t, readOnly(t, server).Handler(HandlerOpts{}), nil), "# HELP c_total ")
			text, _, _ = strings.Cut(text, "\n")
			return text
		}
		old := process(t, server, Opts{})
		old.NewCounter(CounterOpts{Name: "c_total", Help: "Old."})
		elapse(time.Minute)
		server.Advance(-back)
		elapse(10 * time.Second)
		app, err := server.Store("shop").ReadApp(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		register(t, server, "c_total", app.Now.UnixMicro(), wire.Definition{Type: wire.TypeCounter, Help: "Young."})
		for _, forward := range []time.Duration{0, back / 2, back} { // behind, then on its way back, then ahead
			server.Advance(forward)
			for range 20 {
				if got := help(); got != "Young." {
					t.Fatalf("set forward by %v, the help is %q", forward, got)
				}
				elapse(5 * time.Second)
			}
		}
	})
}

func TestClockSetBack_ANewReaderWaitsForNothing(t *testing.T) {
	inClockBubbles(t, func(t *testing.T, server *memstore.Server, back time.Duration) {
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(time.Second)
		// If the first turn came just after the clock was set right, the family would look as old as the
		// clock was wrong, and go.
		server.Fail(only(memstore.OpHousekeep, func(string) error { return refusal }))
		server.Restore(server.Snapshot())
		elapse(2 * DefLeaseDuration)
		server.Advance(-back)
		prompt := func(when string) {
			t.Helper()
			begin := time.Now()
			scrape(t, readOnly(t, server)).want(t, samples{"c_total": 1})
			if took := time.Since(begin); took > 0 {
				t.Errorf("%s the page took %v", when, took)
			}
		}
		prompt("at once")
		elapse(DefLeaseDuration)
		prompt("later")
		server.Advance(back)
		elapse(DefLeaseDuration / 2)
		prompt("when the clock was set right")
	})
}

func TestClockSetBack_TheDeadGoInTheirTimeAndTheLivingStay(t *testing.T) {
	inClockBubbles(t, func(t *testing.T, server *memstore.Server, back time.Duration) {
		for i, opts := range []Opts{{}, {LeaseDuration: time.Minute}, {LeaseDuration: time.Minute}} {
			r := process(t, server, opts)
			r.NewGauge(GaugeOpts{Name: "g"}).Set(float64(i))
			flush(t, r) // so that it takes the next index
			if i == 2 {
				kill(t, r)
			}
		}
		// Housekeeping would remove the dead process's lease sooner.
		server.Fail(only(memstore.OpHousekeep, func(string) error { return refusal }))
		exporter := readOnly(t, server) // its own LeaseDuration is the default
		scrape(t, exporter).want(t, samples{perIndex(0): 0, perIndex(1): 1, perIndex(2): 2})
		server.Advance(-back)
		for begin := time.Now(); time.Since(begin) < 4*time.Minute; elapse(time.Second) {
			page := scrape(t, exporter)
			if time.Since(begin) > time.Minute {
				page.want(t, samples{perIndex(0): 0, perIndex(1): 1})
				continue
			}
			for i, name := range []string{perIndex(0), perIndex(1)} {
				if v, shown := page[name]; !shown || v != float64(i) {
					t.Fatalf("after %v the page has %v", time.Since(begin), page)
				}
			}
		}
	})
}
