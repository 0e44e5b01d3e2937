// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Clients that take nothing of their pages, one after another, hold few of them: the
// oldest are cut off. The page is there for whoever takes it.
func TestHandler_SlowReadersOneAfterAnotherHoldFewPages(t *testing.T) {
	const pages = 3
	for name, protocol := range map[string]func(*http.Protocols, bool){
		"HTTP/1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetUnencryptedHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard troubles
				r := process(t, memstore.New(), Opts{OnError: heard.add})
				v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
				for i := range 9000 {
					v.WithLabelValues(strings.Repeat("x", 100) + fmt.Sprint(i)).Inc()
				}
				flush(t, r)
				answer := httptest.NewRecorder()
				r.Handler(HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
				r.outgoing.limit = answer.Body.Len() * (2*pages + 1) / 2

				var protocols http.Protocols
				protocol(&protocols, true)
				listener := newPipes()
				server := &http.Server{Handler: r.Handler(HandlerOpts{}), Protocols: &protocols}
				served := make(chan struct{})
				go func() {
					_ = server.Serve(listener)
					close(served)
				}()
				unstuck := make(chan struct{})
				get := func(takes int) error {
					transport := &http.Transport{
						Protocols: &protocols, DisableCompression: true,
						DialContext: func(context.Context, string, string) (net.Conn, error) {
							client, server := net.Pipe()
							listener.conns <- server
							return &stuck{client, takes, 0, unstuck}, nil
						},
					}
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
						if get(2000) == nil {
							t.Error("a page came that nobody took")
						}
					})
					elapse(time.Second)
				}
				held := heap() - before
				if page := answer.Body.Len(); held > int64((pages+2)*page*3/2) {
					t.Errorf("they hold %d bytes, and a page has %d", held, page)
				}
				if err := get(1 << 30); err != nil {
					t.Errorf("who takes the page gets %v", err)
				}
				if all := heard.all(); len(all) != 1 || !strings.Contains(all[0].Error(), "slow") {
					t.Errorf("heard %v", all)
				}
				close(unstuck)
				_ = server.Close()
				group.Wait()
				<-served
				synctest.Wait() // until the handlers have returned
				r.outgoing.mu.Lock()
				defer r.outgoing.mu.Unlock()
				if n := len(r.outgoing.pages); n != 0 || r.outgoing.size != 0 {
					t.Errorf("%d pages of %d bytes are still on their way", n, r.outgoing.size)
				}
			})
		})
	}
}
