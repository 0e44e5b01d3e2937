// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// Observer takes observations: a [Histogram], a [Summary] or an [ObserverFunc].
type Observer interface {
	Observe(v float64)
}

// ObserverFunc makes an [Observer] of a function, such as a gauge's Set.
type ObserverFunc func(v float64)

// Observe calls f(v).
func (f ObserverFunc) Observe(v float64) { f(v) }

// Timer measures how long something takes. Several goroutines may use it; all measure from
// NewTimer.
type Timer struct {
	begin    time.Time
	observer Observer
}

// NewTimer starts a timer. Use it with defer:
//
//	defer shoal.NewTimer(duration).ObserveDuration()
func NewTimer(o Observer) *Timer {
	return &Timer{begin: time.Now(), observer: o}
}

// ObserveDuration passes the time since NewTimer to the observer, in seconds, and returns it.
func (t *Timer) ObserveDuration() time.Duration {
	d := time.Since(t.begin)
	if t.observer != nil {
		t.observer.Observe(d.Seconds())
	}
	return d
}
