// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// outage is how long Redis is away: longer than all timeouts between a request and Redis.
const outage = 10 * time.Second

// No request fails while Redis is frozen, the page says what is wrong within the scraper's
// timeout, and the totals are exact in the end. core/tests/faults has other outages.
func TestPrefork_RedisFrozenUnderLoadIsNoTroubleOfAnyRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := startFleet(t, server.URL(), 4)
	before := f.steadyTotal()
	l := f.startLoad(8)
	l.more(t, 500, nil)
	server.Freeze(t)
	reasons := map[string]bool{}
	for end := time.Now().Add(outage); time.Now().Before(end); {
		l.more(t, 100, nil) // requests go on, whatever the scrape returns
		status, body, err := f.scrapeWithin(2 * time.Second)
		if err != nil {
			t.Errorf("the scrape has no answer within its timeout: %v", err)
		} else if status != http.StatusServiceUnavailable || len(body) == 0 {
			t.Errorf("the scrape says %d %q, want 503 and the reason", status, body)
		}
		reasons[body] = true
	}
	t.Logf("the page says: %v", reasons)
	server.Thaw(t)
	l.more(t, 500, nil)
	answered, err := l.end()
	if err != nil {
		t.Errorf("requests failed: %v", err)
	}
	testkit.Eventually(t, func() error {
		total, err := f.total()
		if err == nil && total-before != float64(answered) {
			err = fmt.Errorf("%v counted, %d answered", total-before, answered)
		}
		return err
	})
}

// scrapeWithin scrapes as a Prometheus with this timeout does.
func (f *fleet) scrapeWithin(timeout time.Duration) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.addr+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	begin := time.Now()
	status, body, err = testkit.Send(req)
	if took := time.Since(begin); err == nil && took > timeout {
		err = fmt.Errorf("it took %v", took)
	}
	return status, strings.TrimSpace(body), err
}
