// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// gin reuses a Context for the next request while the middleware further out still ends
// the exchange of the last one. The race detector must find nothing.
func TestOnce_GinsPooledContextLeadsToNoOtherRequest(t *testing.T) {
	reg := shoaltest.New(t)
	e := gin.New()
	shoalgin.Install(e, reg, httpmetrics.Opts{})
	e.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	s := siteOf(t, reg, shoalhttp.Middleware(reg, httpmetrics.Opts{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.ServeHTTP(w, r)
		time.Sleep(100 * time.Microsecond) // meanwhile gin gives its Context to another request
	})))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if res, err := client.Get(s.server.URL + "/x"); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	s.finish()
	if n := s.count("GET", "/x", "204"); n != 1600 {
		t.Errorf("%v recorded, want 1600", n)
	}
}
