// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// serve runs a server on pipes until end is called.
func serve(server *http.Server) (listener *pipes, end func()) {
	listener = newPipes()
	served := make(chan struct{})
	go func() {
		_ = server.Serve(listener)
		close(served)
	}()
	return listener, func() {
		_ = server.Close()
		<-served
	}
}

// A request announces a body and sends none of it. net/http waits for the rest of
// a body before it sends an answer: the handler has to return at once all the
// same, and the connection has to end in bounded time.
func TestHandler_ABodyThatNeverComesHoldsNoPage(t *testing.T) {
	const get, post = "GET /metrics HTTP/1.1\r\nHost: x\r\n", "POST /metrics HTTP/1.1\r\nHost: x\r\n"
	for name, tt := range map[string]struct {
		request string
		away    bool // Redis is
		status  int
	}{
		"a length":              {get + "Content-Length: 1\r\n\r\n", false, 200},
		"a large length":        {get + "Content-Length: 200000\r\n\r\nx", false, 200},
		"a huge length":         {get + "Content-Length: 1000000000000\r\n\r\nx", false, 200},
		"chunks":                {get + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", false, 200},
		"no trailer":            {get + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\n", false, 200},
		"100-continue":          {get + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, 200},
		"HTTP/1.0 kept alive":   {"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", false, 200},
		"HEAD":                  {"HEAD /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", false, 200},
		"405":                   {post + "Content-Length: 1\r\n\r\n", false, 405},
		"405 of chunks":         {post + "Transfer-Encoding: chunked\r\n\r\n", false, 405},
		"405 with 100-continue": {post + "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", false, 405},
		"503":                   {get + "Content-Length: 1\r\n\r\n", true, 503},
		"503 of chunks":         {get + "Transfer-Encoding: chunked\r\n\r\n", true, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				r := process(t, store, Opts{})
				longPage(t, r)
				if tt.away {
					store.Fail(away)
				}
				serving := atomic.Int32{}
				h := r.Handler(HandlerOpts{})
				listener, end := serve(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					serving.Add(1)
					defer serving.Add(-1)
					h.ServeHTTP(w, req)
				})})
				defer end()
				begin := time.Now()
				conn := listener.dialWith(t, tt.request)
				_ = conn.SetReadDeadline(begin.Add(2 * writeTimeout))
				answer := bufio.NewReader(conn)
				req := &http.Request{Method: "GET"}
				if name == "HEAD" {
					req.Method = "HEAD"
				}
				res, err := http.ReadResponse(answer, req)
				if err != nil {
					t.Errorf("no answer: %v", err)
					res = &http.Response{Body: http.NoBody}
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != tt.status {
					t.Errorf("%d, %v", res.StatusCode, err)
				}
				synctest.Wait()
				if n, took := serving.Load(), time.Since(begin); n > 0 || took > time.Second {
					t.Errorf("after %v %d handlers are held", took, n)
				}
				if _, err := io.Copy(io.Discard, answer); err != nil {
					t.Errorf("the connection is held for %v: %v", time.Since(begin), err)
				}
				_ = conn.Close()
				store.Fail(nil)
			})
		})
	}
}

// The deadlines of a page are those of its request: the connection of a scraper
// lives on, also on a server that has no timeouts by which it would set others.
func TestHandler_AKeptConnectionOutlivesThePagesDeadlines(t *testing.T) {
	for name, server := range map[string]*http.Server{
		"a server without limits": {},
		"a server with limits":    {ReadHeaderTimeout: time.Second, IdleTimeout: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				r := process(t, store, Opts{})
				server.Handler = r.Handler(HandlerOpts{})
				listener, end := serve(server)
				defer end()
				const request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
				conn := listener.dialWith(t, request)
				answer := bufio.NewReader(conn)
				for i := range 4 {
					res, err := http.ReadResponse(answer, nil)
					if err != nil {
						t.Fatalf("request %d: %v", i, err)
					}
					if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || res.Close {
						t.Errorf("request %d: %d, %v, to be closed: %v", i, res.StatusCode, err, res.Close)
					}
					elapse(writeTimeout / 2 << i) // at last much longer than any of the deadlines
					if _, err := io.WriteString(conn, request); err != nil {
						t.Fatalf("request %d: %v", i+1, err)
					}
				}
				_, _ = http.ReadResponse(answer, nil)
				_ = conn.Close()
			})
		})
	}
}

// stuck is a connection whose client reads only the bytes that are left, and then one byte
// at a time.
type stuck struct {
	net.Conn
	left    int
	every   time.Duration // between these; 0 for none
	unstuck chan struct{}
}

func (c *stuck) Read(p []byte) (int, error) {
	if c.left <= 0 {
		again := make(<-chan time.Time)
		if c.every > 0 {
			again = time.After(c.every)
		}
		select {
		case <-again:
			c.left = 1
		case <-c.unstuck:
			return 0, net.ErrClosed
		}
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// stuckClient asks over a connection of the listener that is stuck.
func stuckClient(listener *pipes, protocols *http.Protocols, left int, every time.Duration, unstuck chan struct{}) *http.Transport {
	return &http.Transport{
		Protocols: protocols, DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			listener.conns <- server
			return &stuck{client, left, every, unstuck}, nil
		},
	}
}

// hugePage gives a process a page of more than a megabyte.
func hugePage(t *testing.T, r *Registry) {
	t.Helper()
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
	for i := range 9000 {
		v.WithLabelValues(strings.Repeat("x", 100) + fmt.Sprint(i)).Inc()
	}
	flush(t, r)
}

// Over HTTP/2 the server can't cut off a stream while its client reads nothing, since the
// reset would wait behind what was sent before. The page's memory is freed all the same.
func TestHandler_AStuckHTTP2ConnectionHoldsNoPage(t *testing.T) {
	for name, every := range map[string]time.Duration{"takes nothing": 0, "takes a byte now and then": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				r := process(t, store, Opts{})
				hugePage(t, r)
				var protocols http.Protocols
				protocols.SetUnencryptedHTTP2(true)
				listener, end := serve(&http.Server{Handler: r.Handler(HandlerOpts{}), Protocols: &protocols})
				const readers = 10
				before, unstuck := heap(), make(chan struct{})
				var transports []*http.Transport
				var group sync.WaitGroup
				for range readers {
					transport := stuckClient(listener, &protocols, 2000, every, unstuck)
					transports = append(transports, transport)
					group.Go(func() {
						res, err := transport.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", "http://x/metrics", nil))
						if err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							_ = res.Body.Close()
						}
					})
					elapse(time.Second) // each has a page of its own
				}
				during := heap() - before
				elapse(writeTimeout)
				after := heap() - before
				if after > during/4 {
					t.Errorf("stuck readers of %d pages hold %d bytes at first and %d after %v", readers, during, after, writeTimeout)
				}
				close(unstuck)
				end()
				group.Wait()
				for _, transport := range transports {
					transport.CloseIdleConnections()
				}
			})
		})
	}
}
