// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// newOwnFixture is a fixture whose reader knows some metrics of shoal's own.
func newOwnFixture(t *testing.T) *fixture {
	f := &fixture{counts: newCounts(), t: t, server: memstore.New(), seq: map[string]uint64{}, gen: map[string]string{}}
	f.Reader = New(f.server.Store("shop"), Config{
		App: "shop", LeaseDuration: lease, Grace: lease / 2, ScrapeTimeout: 5 * time.Second,
		Own: []Own{
			{Name: "shoal_lost_total", Help: "Lost.", Type: wire.TypeCounter, Label: "reason", Values: []string{"wiped", "expired"}},
			{Name: "shoal_fails_total", Help: "Fails.", Type: wire.TypeCounter},
			{Name: "shoal_seconds", Help: "Seconds.", Type: wire.TypeHistogram, Bounds: []float64{0.5, 1}},
			{Name: "shoal_pending", Help: "Pending.", Type: wire.TypeGauge, PerProcess: true},
		},
	}, f.counts)
	t.Cleanup(func() {
		f.Stop(context.Canceled)
		f.Wait()
	})
	return f
}

func TestOwn_OfWhichRedisHasNothingIsZero(t *testing.T) {
	f := newOwnFixture(t)
	f.shows("shoal_lost", `shoal_lost_total{reason="expired"} 0`, `shoal_lost_total{reason="wiped"} 0`)
	f.shows("shoal_fails", "shoal_fails_total 0")
	f.shows("shoal_seconds", `shoal_seconds_bucket{le="0.5"} 0`, `shoal_seconds_bucket{le="1"} 0`,
		`shoal_seconds_bucket{le="+Inf"} 0`, "shoal_seconds_sum 0", "shoal_seconds_count 0")
	f.shows("shoal_pending")
	f.shows("# HELP shoal_fails", "# HELP shoal_fails_total Fails.")
	f.process("w", wire.Info{})
	f.process("x", wire.Info{}, gaugeText("shoal_pending", "", "7"))
	f.shows("shoal_pending", `shoal_pending{gauge_index="0"} 0`, `shoal_pending{gauge_index="1"} 0`) // not registered
	f.family("shoal_pending", 1, gaugeDef(""))
	f.shows("shoal_pending", `shoal_pending{gauge_index="0"} 0`, `shoal_pending{gauge_index="1"} 7`)
}

func TestOwn_IsCompleteBesideWhatRedisHas(t *testing.T) {
	f := newOwnFixture(t)
	f.family("shoal_lost_total", 1, counterDef("As registered."))
	f.shows("shoal_lost", `shoal_lost_total{reason="expired"} 0`, `shoal_lost_total{reason="wiped"} 0`)
	f.add("shoal_lost_total", labels("reason", "wiped"), "3", labels("reason", "new"), "4")
	f.shows("shoal_lost", `shoal_lost_total{reason="expired"} 0`, `shoal_lost_total{reason="new"} 4`, `shoal_lost_total{reason="wiped"} 3`)
	f.shows("# HELP shoal_lost", "# HELP shoal_lost_total As registered.")
	f.family("shoal_seconds", 1, histogramDef("2"))
	f.shows("shoal_seconds", `shoal_seconds_bucket{le="2"} 0`, `shoal_seconds_bucket{le="+Inf"} 0`, "shoal_seconds_sum 0", "shoal_seconds_count 0")
	page := f.page()
	body, err := page.Encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: true})
	if err != nil || strings.Contains(string(body), `shoal_lost_created{reason="expired"}`) || !strings.Contains(string(body), `shoal_lost_created{reason="wiped"}`) {
		t.Errorf("zeros have a start, or values none: %v\n%s", err, body)
	}
}

// A counter that is shown as 0 although it is not, and then as it is, seems to have risen.
func TestOwn_ThatCannotBeReadIsNotZero(t *testing.T) {
	for name, damage := range map[string]func(f *fixture){
		"its registration is gone": func(f *fixture) { f.server.LoseControl("shop", "shoal_lost_total") },
		"its value is damaged": func(f *fixture) {
			f.server.SetText("shop", "shoal_lost_total", labels("reason", "wiped"), "no number")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOwnFixture(t)
			f.family("shoal_lost_total", 1, counterDef(""))
			f.add("shoal_lost_total", labels("reason", "wiped"), "3")
			f.shows(`shoal_lost_total{reason="wiped"}`, `shoal_lost_total{reason="wiped"} 3`)
			damage(f)
			f.shows(`shoal_lost_total{reason="wiped"}`)
			f.shows("shoal_fails", "shoal_fails_total 0")
		})
	}
}

// A process lists a family before it registers it.
func TestOwn_IsZeroUntilItIsRegistered(t *testing.T) {
	f := newOwnFixture(t)
	f.shows("shoal_fails", "shoal_fails_total 0")
	f.server.List("shop", "shoal_fails_total")
	f.shows("shoal_fails", "shoal_fails_total 0")
	f.family("shoal_fails_total", 1, counterDef(""))
	f.shows("shoal_fails", "shoal_fails_total 0")
	f.add("shoal_fails_total", "", "1")
	f.shows("shoal_fails", "shoal_fails_total 1")
}

func TestOwn_WritesNoSamplesOfAnotherFamily(t *testing.T) {
	f := newOwnFixture(t)
	f.family("shoal_seconds_count", 1, counterDef("Somebody else's."))
	f.add("shoal_seconds_count", "", "9")
	f.family("shoal_fails_total", 1, gaugeDef(wire.ModeSum))
	f.shows("shoal_seconds", "shoal_seconds_count 9")
	f.shows("shoal_fails")
}
