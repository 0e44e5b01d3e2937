// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// pipes is a listener whose connections are in memory, so that both ends are in the test's
// bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial asks for the page over a connection of its own.
func (p *pipes) dial(t *testing.T) net.Conn {
	return p.dialWith(t, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
}

// dialWith sends a request over a connection of its own.
func (p *pipes) dialWith(t *testing.T, request string) net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	if _, err := io.WriteString(client, request); err != nil {
		t.Error(err)
	}
	return client
}

// longPage gives a process a page of which net/http's buffer holds only a part.
func longPage(t *testing.T, r *Registry) {
	t.Helper()
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
	for i := range 300 {
		v.WithLabelValues(fmt.Sprint(i)).Inc()
	}
	flush(t, r)
}

// Readers that read nothing, or a byte now and then, or go away in the middle,
// keep no one else from the page, and are cut off in bounded time. The bubble
// does not end before their goroutines have.
func TestHandler_SlowReadersHoldNobodyUpAndAreCutOff(t *testing.T) {
	for name, tt := range map[string]struct{ own, limit time.Duration }{
		"a server without limits":  {0, writeTimeout},
		"a server with a deadline": {7 * time.Second, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				r := process(t, store, Opts{})
				longPage(t, r)
				var handlers sync.WaitGroup
				h := r.Handler(HandlerOpts{})
				listener, end := serve(&http.Server{WriteTimeout: tt.own, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					handlers.Add(1)
					defer handlers.Done()
					h.ServeHTTP(w, req)
				})})
				begin := time.Now()
				var slow []net.Conn
				var readers sync.WaitGroup
				for i := range 60 {
					conn := listener.dial(t)
					slow = append(slow, conn)
					readers.Go(func() {
						switch b := make([]byte, 1); i % 3 {
						case 0: // never reads
						case 1:
							for {
								if _, err := conn.Read(b); err != nil {
									return
								}
								time.Sleep(time.Second)
							}
						case 2:
							_, _ = conn.Read(b)
							_ = conn.Close()
						}
					})
				}
				synctest.Wait()
				for range 10 { // others are not held up
					conn := listener.dial(t)
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(res.Body)
					if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), `c_total{n="299"} 1`) {
						t.Errorf("%d %v: %d bytes", res.StatusCode, err, len(body))
					}
					_ = conn.Close()
				}
				if took := time.Since(begin); took > time.Second {
					t.Errorf("others waited for %v", took)
				}
				ended := make(chan struct{})
				go func() {
					handlers.Wait()
					close(ended)
				}()
				select {
				case <-ended:
				case <-time.After(2 * tt.limit):
				}
				if took := time.Since(begin); took > tt.limit+time.Second || took < tt.limit-time.Second {
					t.Errorf("slow readers were held for %v, want %v", took, tt.limit)
				}
				for _, conn := range slow {
					_ = conn.Close()
				}
				readers.Wait()
				<-ended
				end()
			})
		})
	}
}
