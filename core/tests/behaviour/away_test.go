// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// says503 fails the test unless the answer is a 503 with a reason, within the scraper's
// timeout. It returns the reason.
func says503(t testing.TB, reg *shoal.Registry) string {
	t.Helper()
	const timeout = 1500 * time.Millisecond
	rec, took := testkit.Get(reg, timeout)
	reason, ok := strings.CutPrefix(rec.Body.String(), "shoal: the metrics can't be read: ")
	if rec.Code != http.StatusServiceUnavailable || !ok || len(reason) < 17 || strings.Contains(reason, "# TYPE") {
		t.Errorf("the answer is %d %q, want 503 and a reason", rec.Code, rec.Body)
	}
	if took >= timeout {
		t.Errorf("the answer took %v, the scraper waits %v", took, timeout)
	}
	return reason
}

// While Redis is away /metrics says so, and when Redis is back so is the page. The client's
// timeouts are far longer than the scraper's here.
func TestWhenRedisIsAwayMetricsSaysSo(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	patient := shoal.New()
	testkit.Must(t, patient.Connect(server.Client(t), shoal.Opts{App: f.app, ReadOnly: true}))
	flush(t, reg)
	testkit.Scrape(t, reg).Want(t, "jobs_total", "1")
	testkit.Scrape(t, patient).Want(t, "jobs_total", "1")
	server.Freeze(t)
	gathered := make(chan error, 1)
	go func() {
		families, err := patient.Gather()
		if err == nil || len(families) > 0 {
			err = fmt.Errorf("Gather gives %d families and %w", len(families), err)
		} else {
			err = nil
		}
		gathered <- err
	}()
	says503(t, reg)
	says503(t, patient) // while its Gather is still reading
	says503(t, patient)
	testkit.Check(t, <-gathered)
	server.Thaw(t)
	testkit.EventuallyHas(t, reg)
	testkit.EventuallyHas(t, patient)
	closeAll(t, patient)
}

func TestWhenRedisIsAwayMetricsSaysSo_FromTheStart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	reg := fleetOn(t, server).process(t) // Connect does no I/O
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(3)
	says503(t, reg)
	server.Restart(t)
	testkit.EventuallyHas(t, reg, "jobs_total", "3")
}

func TestWhenRedisIsAwayMetricsSaysSo_UnconnectedAndClosedToo(t *testing.T) {
	t.Parallel()
	reg := shoal.New()
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	says503(t, reg)
	newFleet(t).join(t, reg)
	testkit.Scrape(t, reg).Want(t, "jobs_total", "1")
	closeAll(t, reg)
	says503(t, reg)
}
