// SPDX-License-Identifier: Apache-2.0

package behaviour

import (
	"context"
	"net/http"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// A firewall has forgotten the connections of a process that only reads: they stay open, and
// nothing passes. Its next page comes over a new one, within the time of a scrape.
func TestScrape_OverADeadConnectionIsAnsweredInItsTime(t *testing.T) {
	server := redistest.Shared(t)
	app := "dead-connection"
	writer := shoal.New()
	testkit.Must(t, writer.Open(server.URL(), shoal.Opts{App: app}))
	writer.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
	testkit.Must(t, writer.Flush(t.Context()))
	t.Cleanup(func() { _ = writer.Close(context.WithoutCancel(t.Context())) })

	line := redistest.StartLine(t, server.Addr, 0, 0)
	reader := shoal.New()
	testkit.Must(t, reader.Open(line.URL(), shoal.Opts{App: app, ReadOnly: true, OnError: func(error) {}}))
	t.Cleanup(func() { _ = reader.Close(context.WithoutCancel(t.Context())) })
	for range 2 {
		testkit.Scrape(t, reader)
		line.Silence()
		if rec, took := testkit.Get(reader, shoal.DefScrapeTimeout); rec.Code != http.StatusOK {
			t.Errorf("over a dead connection the page is %d after %v: %s", rec.Code, took, rec.Body)
		}
	}
}
