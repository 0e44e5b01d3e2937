// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestMain(m *testing.M) {
	redistest.Parallel(8)
	redistest.Main(m)
}

// appOf is the name of an app of the test's own.
func appOf(t *testing.T) string {
	// The parent of temporary directories has the name of the test and a number of its own.
	return filepath.Base(filepath.Dir(t.TempDir()))
}

// process is a process of an app. It sends nothing by itself before an
// hour has passed: every flush is that of a scrape or of the test. It is closed with the test.
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

// serve serves the app's page, each request by the next of its processes, as behind a load
// balancer. It returns the address.
func serve(t *testing.T, processes ...*shoal.Registry) string {
	t.Helper()
	var handlers []http.Handler
	for _, p := range processes {
		handlers = append(handlers, p.Handler(shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}))
	}
	var requests atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[requests.Add(1)%uint64(len(handlers))].ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
