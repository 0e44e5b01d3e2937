// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestPrefork_RedisFrozenUnderLoadIsNoTroubleOfAnyRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	duringOutage(t, server, func() (back func()) {
		server.Freeze(t)
		return func() { server.Thaw(t) }
	})
}

func TestPrefork_RedisStoppedAndStartedUnderLoadIsNoTroubleOfAnyRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	duringOutage(t, server, func() (back func()) {
		server.Shutdown(t)
		return func() { server.Restart(t) }
	})
}

// outage is how long Redis is away: longer than every timeout between it and a
// request.
const outage = 10 * time.Second

// duringOutage puts the example under load, takes Redis away and brings it
// back, and checks that no request failed, that the page said what is wrong
// within its timeout, and that the totals are exact in the end.
func duringOutage(t *testing.T, server *redistest.Server, begin func() (back func())) {
	f := startFleet(t, server.URL())
	f.workers(4)
	before := f.settled()
	l := f.startLoad(8)
	served := func(n int) {
		sent := l.count()
		f.until("requests are answered", func() error {
			if l.count() < sent+n {
				return fmt.Errorf("%d of %d", l.count()-sent, n)
			}
			return nil
		})
	}
	served(500)
	back := begin()
	end := time.Now().Add(outage)
	reasons := map[string]bool{}
	for time.Now().Before(end) {
		served(100) // requests go on, whatever the scrape does
		status, body, err := f.scrapeWithin(2 * time.Second)
		if err != nil {
			t.Errorf("the scrape has no answer within its timeout: %v", err)
			continue
		}
		if status != http.StatusServiceUnavailable || len(strings.TrimSpace(body)) == 0 {
			t.Errorf("the scrape says %d %q, want 503 and the reason", status, body)
		}
		reasons[strings.TrimSpace(body)] = true
	}
	t.Logf("the page says: %v", reasons)
	back()
	served(500)
	answered, err := l.end()
	if err != nil {
		t.Errorf("requests failed: %v", err)
	}
	f.until("the page is back", func() error {
		_, err := f.scrape()
		return err
	})
	f.until("the totals are exact", func() error {
		p, err := f.scrape()
		if err != nil {
			return err
		}
		counted, observed := p.requests()
		if counted-before != float64(answered) || observed-before != float64(answered) {
			return fmt.Errorf("%v counted, %v observed, %d answered", counted-before, observed-before, answered)
		}
		return nil
	})
}

// scrapeWithin scrapes as a Prometheus with this timeout does, which hangs up
// after it.
func (f *fleet) scrapeWithin(timeout time.Duration) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.addr+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	client := newClient()
	client.Timeout = timeout + 5*time.Second // a busy machine's, not the promise's
	begin := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	if took := time.Since(begin); took > timeout {
		return 0, "", fmt.Errorf("it took %v", took)
	}
	return resp.StatusCode, string(text), nil
}
