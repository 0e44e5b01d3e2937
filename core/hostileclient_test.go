// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A request announces a body and sends none of it. net/http waits for the rest of
// a body before it sends an answer: the handler has to return at once all the
// same, and the connection has to end in bounded time.
func TestHandler_ABodyThatNeverComesHoldsNoPage(t *testing.T) {
	const get, post = "GET /metrics HTTP/1.1\r\nHost: x\r\n", "POST /metrics HTTP/1.1\r\nHost: x\r\n"
	for name, tt := range map[string]struct {
		request string
		away    bool // is Redis
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
				v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"n"})
				for i := range 300 { // more than net/http's buffer holds
					v.WithLabelValues(fmt.Sprint(i)).Inc()
				}
				flush(t, r)
				if tt.away {
					store.Fail(away)
				}
				listener, serving := newPipes(), atomic.Int32{}
				h := r.Handler(HandlerOpts{})
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					serving.Add(1)
					defer serving.Add(-1)
					h.ServeHTTP(w, req)
				})}
				served := make(chan struct{})
				go func() {
					_ = server.Serve(listener)
					close(served)
				}()
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
				_ = server.Close()
				<-served
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
				listener := newPipes()
				server.Handler = r.Handler(HandlerOpts{})
				served := make(chan struct{})
				go func() {
					_ = server.Serve(listener)
					close(served)
				}()
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
				_ = server.Close()
				<-served
			})
		})
	}
}
