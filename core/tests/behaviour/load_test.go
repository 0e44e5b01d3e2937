// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// load writes to a registry from several goroutines, as requests do, and
// counts what it wrote.
type load struct {
	stop  chan struct{}
	group sync.WaitGroup
	mu    sync.Mutex
	n     int // events; guarded by mu
}

// startLoad begins to write to a counter, a histogram (always 3) and a summary
// (always 2). It ends with the test at the latest.
func startLoad(t testing.TB, reg *shoal.Registry) *load {
	t.Helper()
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."})
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 20, 25.5}})
	v := reg.NewSummaryVec(shoal.SummaryOpts{Name: "size_bytes", Help: "Size."}, []string{"kind"})
	l := &load{stop: make(chan struct{})}
	for i := range 3 {
		l.group.Go(func() {
			n := 0
			for {
				select {
				case <-l.stop:
					l.mu.Lock()
					l.n += n
					l.mu.Unlock()
					return
				case <-time.After(100 * time.Microsecond):
					c.Inc()
					h.Observe(3)
					v.WithLabelValues(fmt.Sprint(i)).Observe(2)
					n++
				}
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// end ends the load and returns how many events there were.
func (l *load) end() int {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.group.Wait()
	return l.n
}

// shows returns an error unless the page has exactly n events of loads.
func (p page) shows(n int) error {
	for series, want := range map[string]int{
		"jobs_total": n, "took_seconds_count": n, "took_seconds_sum": 3 * n,
		`took_seconds_bucket{le="1"}`: 0, `took_seconds_bucket{le="20"}`: n,
	} {
		if v, ok := p.value(series); !ok || v != float64(want) {
			return fmt.Errorf("%s is %v (shown: %v), want %d", series, v, ok, want)
		}
	}
	count, sum := 0.0, 0.0
	for i := range 3 {
		c, _ := p.value(fmt.Sprintf(`size_bytes_count{kind="%d"}`, i))
		s, _ := p.value(fmt.Sprintf(`size_bytes_sum{kind="%d"}`, i))
		count, sum = count+c, sum+s
	}
	if count != float64(n) || sum != float64(2*n) {
		return fmt.Errorf("the summaries have %v and %v, want %d and %d", count, sum, n, 2*n)
	}
	return nil
}
