// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"sync"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// The total that AddSync returns includes the call's own value and those of earlier calls, and
// concurrent callers share round trips.
func TestSync_AHundredGoroutinesAddExactly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.process(t), f.process(t)
	opts := shoal.CounterOpts{Name: "jobs_total"}
	counters := []*shoal.Counter{one.NewCounter(opts), two.NewCounter(opts)}
	const goroutines, each = 100, 20
	var group sync.WaitGroup
	errs := make(chan error, goroutines)
	for i := range goroutines {
		group.Go(func() {
			mine, last := 0.0, 0.0
			for k := range each {
				v := float64(1 + (i+k)%3)
				total, err := counters[i%2].AddSync(testkit.Within(t), v)
				mine += v
				switch {
				case err != nil:
					errs <- err
					return
				case total < last+v:
					errs <- fmt.Errorf("after %v the total is %v, with %v more", last, total, v)
					return
				case total < mine:
					errs <- fmt.Errorf("the total is %v, this caller alone added %v", total, mine)
					return
				}
				last = total
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	want := 0.0
	for i := range goroutines {
		for k := range each {
			want += float64(1 + (i+k)%3)
		}
	}
	if total, err := counters[0].AddSync(testkit.Within(t), 0); err != nil || total != want {
		t.Errorf("the total is %v, %v; want %v", total, err, want)
	}
	// Had each call its own flush, there would be 2,000 of them.
	if n, _ := testkit.Scrape(t, one).Value("shoal_flush_duration_seconds_count"); n > goroutines*each/2 {
		t.Errorf("%v flushes for %d calls", n, goroutines*each)
	}
}
