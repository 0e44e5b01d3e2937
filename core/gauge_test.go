// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestGauge_HoldsAnyNumber(t *testing.T) {
	g := New().NewGauge(GaugeOpts{Name: "g"})
	if g.state.Load() != gaugeUnset {
		t.Error("a gauge is shown before its first write")
	}
	steps := []struct {
		do   func()
		want float64
	}{
		{func() { g.Set(5) }, 5},
		{g.Inc, 6},
		{g.Dec, 5},
		{func() { g.Add(-7.5) }, -2.5},
		{func() { g.Sub(-0.5) }, -2},
		{func() { g.Set(math.Inf(1)) }, math.Inf(1)},
		{func() { g.Set(math.Inf(-1)) }, math.Inf(-1)},
		{func() { g.Set(math.NaN()) }, math.NaN()},
		{func() { g.Set(0) }, 0},
	}
	for i, s := range steps {
		s.do()
		if got := g.value(); got != s.want && !(math.IsNaN(got) && math.IsNaN(s.want)) {
			t.Errorf("step %d: %v, want %v", i, got, s.want)
		}
	}
	if g.state.Load() != gaugeSet {
		t.Error("a written gauge is not shown")
	}
}

func TestGauge_SetToCurrentTimeIsInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New().NewGauge(GaugeOpts{Name: "g"})
		time.Sleep(1500 * time.Millisecond)
		g.SetToCurrentTime()
		if got, want := g.value(), float64(time.Now().UnixMilli())/1000; math.Abs(got-want) > 1e-6 {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func TestGauge_ConcurrentAdditionsAddUp(t *testing.T) {
	g := New().NewGauge(GaugeOpts{Name: "g"})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 1000 {
				g.Inc()
				g.Sub(0.5)
			}
		})
	}
	group.Wait()
	if got := g.value(); got != 2000 {
		t.Errorf("%v, want 2000", got)
	}
}

// Gauges that stay the same are written only with the refresh, but the flush of any other
// family shows the writer that Redis lost everything.
func TestGauge_ThatStaysTheSameIsBackSoonAfterRedisLostEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewGauge(GaugeOpts{Name: "g", Mode: Sum}).Set(5)
		r.NewGaugeVec(GaugeOpts{Name: "h", Mode: Sum}, []string{"n"}).WithLabelValues("1").Set(6)
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		busy(c, 5*time.Second)
		server.Wipe()
		busy(c, 3*time.Second) // the refresh is far
		stored(t, server).want(t, samples{"g": 5, `h{n="1"}`: 6})
	})
}
