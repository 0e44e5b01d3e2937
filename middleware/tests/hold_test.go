// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// A request that announces a body and sends none of it has its page at once, and its
// connection is closed: net/http would wait for the body while the page is held.
func TestPage_IsNotHeldForABodyThatNeverComes(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/x", text("ok")})
		for _, body := range []string{"Content-Length: 1", "Transfer-Encoding: chunked", "Expect: 100-continue\r\nContent-Length: 1"} {
			for _, method := range []string{"GET", "HEAD"} {
				conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // less than the page's own
				_, _ = io.WriteString(conn, method+" /metrics HTTP/1.1\r\nHost: x\r\n"+body+"\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
				if err != nil {
					t.Errorf("%s with %q: %v", method, body, err)
				} else if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || !res.Close {
					t.Errorf("%s with %q: %d, %v, to be closed: %v", method, body, res.StatusCode, err, res.Close)
				}
				_ = conn.Close()
			}
		}
		s.finish()
	})
}

// connection is a writer with the deadlines of a connection.
type connection struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (c *connection) SetReadDeadline(t time.Time) error  { c.read = t; return nil }
func (c *connection) SetWriteDeadline(t time.Time) error { c.write = t; return nil }

// The page's limits for its client reach the connection through the writers of the
// middleware and the framework.
func TestPage_LimitsItsClientBelowEveryWriter(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		h := f.build(shoaltest.New(t), httpmetrics.Opts{}, []route{{"GET", "/x", text("ok")}})
		c := &connection{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(c, httptest.NewRequest("GET", "/metrics", nil))
		for name, at := range map[string]time.Time{"read": c.read, "write": c.write} {
			if left := time.Until(at); left <= 0 || left > time.Minute {
				t.Errorf("the deadline to %s is in %v", name, left)
			}
		}
	})
}
