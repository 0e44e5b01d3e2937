// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Processes come and go while each is asked for its own page all the time, some pages at the same
// moment. By the times of their requests, the pages with the shared families are those of one
// process, then those of another, which never has them again when a third one has them.
func TestEachProcess_PagesOfARealRedisTakeTurns(t *testing.T) {
	t.Parallel()
	redis := redistest.Shared(t)
	type shown struct {
		came    time.Time
		process int
	}
	var mu sync.Mutex
	var pages []shown // guarded by mu
	var asking sync.WaitGroup
	start := func(process int) (end func()) {
		reg := shoal.New()
		reg.NewGauge(shoal.GaugeOpts{Name: "level"}).Set(1)
		testkit.Must(t, reg.Open(redis.URL(), shoal.Opts{App: "turns", LeaseDuration: 10 * time.Second, OnError: func(error) {}}))
		page := reg.Handler(shoal.HandlerOpts{EachProcess: true})
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			asking.Go(func() {
				for ctx.Err() == nil {
					time.Sleep(rand.N(3 * time.Millisecond))
					came := time.Now()
					rec := httptest.NewRecorder()
					page.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
					body := rec.Body.String()
					switch {
					case strings.Contains(body, shoal.ErrClosed.Error()):
					case rec.Code != http.StatusOK || strings.Count(body, "\nlevel{") != 1:
						t.Errorf("process %d: %d, %s", process, rec.Code, body)
					case strings.Contains(body, "\nshoal_instances "):
						mu.Lock()
						pages = append(pages, shown{came, process})
						mu.Unlock()
					}
				}
			})
		}
		return func() {
			testkit.Check(t, reg.Close(context.Background()))
			cancel()
		}
	}
	var ends []func()
	for i := range 12 {
		ends = append(ends, start(i))
		before := 0
		testkit.Eventually(t, func() error { // another 50 pages
			mu.Lock()
			defer mu.Unlock()
			before = cmp.Or(before, len(pages)+50)
			if len(pages) < before {
				return errors.New("few pages have the shared families")
			}
			return nil
		})
		if i >= 3 { // the one that has them, or the youngest
			at := 0
			if i%3 == 0 {
				at = len(ends) - 1
			}
			ends[at]()
			ends = slices.Delete(ends, at, at+1)
		}
	}
	for _, end := range ends {
		end()
	}
	asking.Wait()
	slices.SortFunc(pages, func(a, b shown) int { return a.came.Compare(b.came) })
	var turns []int
	for i, p := range pages {
		if i == 0 || pages[i-1].process != p.process {
			turns = append(turns, p.process)
		}
	}
	if turned := slices.Clone(turns); len(turns) < 5 || len(slices.Compact(sorted(turned))) < len(turns) {
		t.Errorf("the processes had the shared families in these turns: %v", turns)
	}
}

func sorted(list []int) []int {
	slices.Sort(list)
	return list
}
