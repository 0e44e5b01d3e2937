// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestMain(m *testing.M) {
	if settings := os.Getenv(childEnv); settings != "" {
		os.Exit(childMain(settings))
	}
	redistest.Parallel(8)
	redistest.Main(m)
}

// appOf is the name of an app of the test's own.
func appOf(t *testing.T) string {
	// The parent of temporary directories has the name of the test and a number of its own.
	return filepath.Base(filepath.Dir(t.TempDir()))
}

// process is a process of an app. It sends nothing by itself before an hour has passed: every
// flush is that of a scrape or of the test. It is closed with the test.
func process(t *testing.T, server *redistest.Server, app string) *shoal.Registry {
	t.Helper()
	reg := shoal.New()
	testkit.Must(t, reg.Open(server.URL(), shoal.Opts{App: app, Interval: time.Hour, Host: "h", OnError: func(error) {}}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := reg.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return reg
}

// target is a page that a Prometheus scrapes.
type target struct {
	addr    string
	scrapes sync.RWMutex // held for writing while no scrape may be answered
	served  atomic.Int64 // scrapes that were answered
}

// serve serves the app's page, each request by the next of its processes, as behind a load
// balancer.
func serve(t *testing.T, processes ...*shoal.Registry) *target {
	t.Helper()
	var handlers []http.Handler
	for _, p := range processes {
		handlers = append(handlers, p.Handler(shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}))
	}
	target := new(target)
	var requests atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target.scrapes.RLock()
		defer target.scrapes.RUnlock()
		defer target.served.Add(1)
		handlers[requests.Add(1)%uint64(len(handlers))].ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	target.addr = server.Listener.Addr().String()
	return target
}

// fleet is a Prometheus of each setup that knows start timestamps, each with a target of its
// own.
type fleet struct {
	t       *testing.T
	servers []*server
	targets []*target
}

// watch starts a fleet, and waits until each server has scraped.
func watch(t *testing.T, processes ...*shoal.Registry) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for _, s := range knowing {
		target := serve(t, processes...)
		f.targets, f.servers = append(f.targets, target), append(f.servers, start(t, target.addr, s))
	}
	for _, s := range f.servers {
		s.await("up", 1)
	}
	return f
}

// between has something happen between two scrapes of each server. It returns false if a
// scrape turned out to have begun before that was over.
func (f *fleet) between(do func()) bool {
	f.t.Helper()
	served := make([]int64, len(f.targets))
	for i, target := range f.targets {
		target.scrapes.Lock()
		served[i] = target.served.Load()
	}
	do()
	over := time.Now().UnixMilli()
	for _, target := range f.targets {
		target.scrapes.Unlock()
	}
	alone := true
	for i, s := range f.servers {
		testkit.Eventually(f.t, func() error {
			scrapes, err := s.samples("up")
			if err != nil || int64(len(scrapes[0].Floats)) <= served[i] {
				return fmt.Errorf("no scrape after that, %w", err)
			}
			alone = alone && scrapes[0].Floats[served[i]].T > over // the first one after that
			return nil
		})
	}
	return alone
}

// routes yields routes until the caller ends its loop: each for another attempt to have
// something happen between two scrapes, and not within milliseconds of one, by which the
// clocks of a process and of Redis may differ.
func (f *fleet) routes(yield func(route, selector string) bool) {
	for i := range 8 {
		route := fmt.Sprintf("/%d", i)
		if !yield(route, fmt.Sprintf("errors_total{route=%q}", route)) {
			return
		}
	}
	f.t.Error("no attempt has succeeded")
}

// sees waits until all servers have samples that add up to last, and returns whether
// increase() is want then. More than that fails the test.
func (f *fleet) sees(selector string, last, want float64) (all bool) {
	f.t.Helper()
	all = true
	for _, s := range f.servers {
		s.await(selector, last)
		got, _, err := s.increase(selector)
		testkit.Must(f.t, err)
		matrix, err := s.samples(selector)
		testkit.Must(f.t, err)
		switch {
		case got > want+accuracy:
			f.t.Errorf("%s: increase() of %s is %v, and %v were counted. The samples are\n%v", s.name, selector, got, want, matrix)
		case got < want-accuracy:
			f.t.Logf("%s: increase() of %s is %v of %v. The samples are\n%v", s.name, selector, got, want, matrix)
			all = false
		}
	}
	return all
}

// must is sees where less fails the test as well.
func (f *fleet) must(selector string, last, want float64) {
	f.t.Helper()
	if !f.sees(selector, last, want) {
		f.t.Error("increase() is too little")
	}
}
