// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// get asks a registry for its page as Prometheus does that waits this long.
func get(reg *shoal.Registry, timeout string) (rec *httptest.ResponseRecorder, took time.Duration) {
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	rec = httptest.NewRecorder()
	begin := time.Now()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(rec, req)
	return rec, time.Since(begin)
}

// says503 fails the test unless the answer is a 503 with a reason, in time.
func says503(t *testing.T, reg *shoal.Registry) {
	t.Helper()
	rec, took := get(reg, "1.5")
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", rec.Code)
	}
	if body := rec.Body.String(); !strings.HasPrefix(body, "shoal: the metrics can't be read: ") || len(body) < 50 {
		t.Errorf("the answer gives no reason: %q", body)
	}
	if strings.Contains(rec.Body.String(), "# TYPE") {
		t.Errorf("the answer looks like a page: %q", rec.Body)
	}
	if took >= 1500*time.Millisecond {
		t.Errorf("the answer took %v, the scraper waits 1.5s", took)
	}
}

// The promise that /metrics says so when Redis is away, and comes back with it.
// The client's own timeouts are far longer than the scraper's here.
func TestWhenRedisIsAwayMetricsSaysSo(t *testing.T) {
	for name, away := range map[string]struct {
		begin, end func(*testing.T, *redistest.Server)
	}{
		"frozen": {
			func(t *testing.T, s *redistest.Server) { s.Freeze(t) },
			func(t *testing.T, s *redistest.Server) { s.Thaw(t) },
		},
		"killed": {
			func(_ *testing.T, s *redistest.Server) { s.Kill() },
			func(t *testing.T, s *redistest.Server) { s.Restart(t) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			f := fleetOn(t, server)
			reg := shoal.New()
			reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
			f.join(t, reg)
			patient := shoal.New()
			if err := patient.Connect(server.Client(t), shoal.Opts{App: f.app, ReadOnly: true}); err != nil {
				t.Fatal(err)
			}
			flush(t, reg)
			scrape(t, reg).want(t, "jobs_total", "1")
			scrape(t, patient).want(t, "jobs_total", "1")
			away.begin(t, server)
			gathered := make(chan error, 1)
			go func() {
				families, err := patient.Gather()
				if err == nil || len(families) > 0 {
					err = fmt.Errorf("Gather gives %d families and %v", len(families), err)
				} else {
					err = nil
				}
				gathered <- err
			}()
			says503(t, reg)
			says503(t, patient) // while that one is still reading
			says503(t, patient)
			if err := <-gathered; err != nil {
				t.Error(err)
			}
			away.end(t, server)
			eventually(t, func() error { _, err := tryScrape(reg); return err })
			eventually(t, func() error { _, err := tryScrape(patient); return err })
			closeAll(t, patient)
		})
	}
}

func TestWhenRedisIsAwayMetricsSaysSo_FromTheStart(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	f := fleetOn(t, server)
	reg := f.process(t) // Connect does no I/O
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	c.Add(3)
	says503(t, reg)
	server.Restart(t)
	eventuallyPage(t, reg, func(p page) error { return p.has("jobs_total", "3") })
}

func TestWhenRedisIsAwayMetricsSaysSo_UnconnectedAndClosedToo(t *testing.T) {
	reg := shoal.New()
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	says503(t, reg)
	f := newFleet(t)
	f.join(t, reg)
	scrape(t, reg).want(t, "jobs_total", "1")
	closeAll(t, reg)
	says503(t, reg)
}

// A server that answers, but not with the metrics.
func TestWhenRedisIsAwayMetricsSaysSo_ARefusalToo(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client(t).ConfigSet(t.Context(), "requirepass", "x").Err(); err != nil {
		t.Fatal(err)
	}
	reg := shoal.New()
	opts := shoal.Opts{App: appOf(t), OnError: func(error) {}}
	if err := reg.Connect(server.Client(t), opts); err != nil {
		t.Fatal(err)
	}
	says503(t, reg)
	rec, _ := get(reg, "5")
	if !strings.Contains(rec.Body.String(), "NOAUTH") {
		t.Errorf("the reason is %q", rec.Body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = reg.Close(ctx) // nothing gets through
}
