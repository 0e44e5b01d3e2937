// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Load writes to a registry from several goroutines, as requests do, and counts what it
// wrote: for each event a counter, a histogram (always 3) and a summary (always 2).
type Load struct {
	events atomic.Int64
	stop   func()
	group  sync.WaitGroup
}

// StartLoad begins to write: in each goroutine one event in each period. After each event it
// calls done, if not nil, with the time when the event began.
func StartLoad(reg *shoal.Registry, goroutines int, period time.Duration, done func(begin time.Time)) *Load {
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."})
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 20, 25.5}})
	v := reg.NewSummaryVec(shoal.SummaryOpts{Name: "size_bytes", Help: "Size."}, []string{"kind"})
	stop := make(chan struct{})
	l := &Load{stop: sync.OnceFunc(func() { close(stop) })}
	for i := range goroutines {
		l.group.Go(func() {
			pace := time.NewTicker(period)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				begin := time.Now()
				c.Inc()
				h.Observe(3)
				v.WithLabelValues(fmt.Sprint(i)).Observe(2)
				if done != nil {
					done(begin)
				}
				l.events.Add(1)
			}
		})
	}
	return l
}

// Events returns the number of events until now.
func (l *Load) Events() int { return int(l.events.Load()) }

// End ends the load and returns the number of events. It may be called twice.
func (l *Load) End() int {
	l.stop()
	l.group.Wait()
	return l.Events()
}

// ShowsLoad returns an error unless the page has exactly n events of all loads.
func (p Page) ShowsLoad(n int) error {
	size := 0.0
	for series := range p.Samples {
		if strings.HasPrefix(series, "size_bytes_sum{") {
			v, _ := p.Value(series)
			size += v
		}
	}
	for what, got := range map[string][2]float64{
		"jobs_total": {p.Sum("jobs_total"), 1}, "took_seconds_count": {p.Sum("took_seconds"), 1},
		"took_seconds_sum": {p.number("took_seconds_sum"), 3}, "size_bytes_count": {p.Sum("size_bytes"), 1}, "size_bytes_sum": {size, 2},
		"the bucket of 1": {p.number(`took_seconds_bucket{le="1"}`), 0}, "the bucket of 20": {p.number(`took_seconds_bucket{le="20"}`), 1},
	} {
		if want := got[1] * float64(n); got[0] != want {
			return fmt.Errorf("%s is %v, want %v", what, got[0], want)
		}
	}
	return nil
}

// number is a sample's value, or -1.
func (p Page) number(series string) float64 {
	if v, ok := p.Value(series); ok {
		return v
	}
	return -1
}
