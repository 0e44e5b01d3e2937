// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTimer_ObservesSecondsSinceItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New().NewSummary(SummaryOpts{Name: "s"})
		timer := NewTimer(s)
		time.Sleep(1500 * time.Millisecond)
		if d := timer.ObserveDuration(); d != 1500*time.Millisecond {
			t.Errorf("returned %v", d)
		}
		time.Sleep(time.Second)
		timer.ObserveDuration()
		if got := s.drain(nil); got[0].Value != 4 || got[1].Value != 2 {
			t.Errorf("observed %v, want the sum 1.5+2.5 of 2", got)
		}
	})
}

func TestTimer_TakesAnyObserverOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New().NewGauge(GaugeOpts{Name: "g"})
		timer := NewTimer(ObserverFunc(g.Set))
		time.Sleep(time.Second)
		timer.ObserveDuration()
		if g.value() != 1 {
			t.Errorf("the gauge is %v, want 1", g.value())
		}
		NewTimer(nil).ObserveDuration()
	})
}
