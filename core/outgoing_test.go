// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Clients that stop reading, one after another, hold few pages in memory: the oldest clients
// are cut off. A client that reads gets its page.
func TestHandler_SlowReadersOneAfterAnotherHoldFewPages(t *testing.T) {
	const pages = 3
	for name, protocol := range map[string]func(*http.Protocols, bool){
		"HTTP/1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetUnencryptedHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard troubles
				r := process(t, memstore.New(), Opts{OnError: heard.add})
				hugePage(t, r)
				page := len(get(t, r.Handler(HandlerOpts{}), nil))
				r.outgoing.limit = page * (2*pages + 1) / 2

				var protocols http.Protocols
				protocol(&protocols, true)
				listener, end := serve(&http.Server{Handler: r.Handler(HandlerOpts{}), Protocols: &protocols})
				unstuck := make(chan struct{})
				read := func(takes int) error {
					transport := stuckClient(listener, &protocols, takes, 0, unstuck)
					defer transport.CloseIdleConnections()
					res, err := transport.RoundTrip(httptest.NewRequest("GET", "http://x/metrics", nil))
					if err != nil {
						return err
					}
					defer func() { _ = res.Body.Close() }()
					body, err := io.ReadAll(res.Body)
					if err == nil && !strings.Contains(string(body), "8999\"} 1") {
						err = errors.New("it lacks something")
					}
					return err
				}
				var group sync.WaitGroup
				before := heap()
				for range 4 * pages {
					group.Go(func() {
						if read(2000) == nil {
							t.Error("a client that stopped reading got its page")
						}
					})
					elapse(time.Second)
				}
				held := heap() - before
				if held > int64((pages+2)*page*3/2) {
					t.Errorf("they hold %d bytes, a page has %d", held, page)
				}
				if err := read(1 << 30); err != nil {
					t.Errorf("a client that reads gets %v", err)
				}
				if all := heard.all(); len(all) != 1 || !strings.Contains(all[0].Error(), "slow") {
					t.Errorf("heard %v", all)
				}
				close(unstuck)
				end()
				group.Wait()
				synctest.Wait() // until the handlers have returned
				r.outgoing.mu.Lock()
				defer r.outgoing.mu.Unlock()
				if n := len(r.outgoing.pages); n != 0 || r.outgoing.size != 0 {
					t.Errorf("%d pages of %d bytes are still being sent", n, r.outgoing.size)
				}
			})
		})
	}
}
