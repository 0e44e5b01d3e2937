// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// pipes is a listener whose connections are in memory, so that both ends are in the test's bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
		return net.ErrClosed
	default:
		close(p.done)
		return nil
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that sends half a header, and one that sends nothing more, are cut off by
// every server that Serve starts, unless its owner wants it otherwise.
func TestServe_EndsConnectionsOnWhichNothingHappens(t *testing.T) {
	const hour = time.Hour  // nobody cuts it off
	const half = "GET / HT" // of a header
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})
	for name, tt := range map[string]struct {
		server       *http.Server
		header, idle time.Duration // until the connection ends
	}{
		"NewServer":         {NewServer("", h), headerTimeout, idleTimeout},
		"PageServer":        {PageServer("", shoaltest.New(t)), headerTimeout, idleTimeout},
		"no limits":         {&http.Server{Handler: h}, headerTimeout, idleTimeout},
		"a header's":        {&http.Server{Handler: h, ReadHeaderTimeout: time.Second}, time.Second, idleTimeout},
		"an idle one's":     {&http.Server{Handler: h, IdleTimeout: time.Minute}, headerTimeout, time.Minute},
		"a request's":       {&http.Server{Handler: h, ReadTimeout: 3 * time.Second}, 3 * time.Second, 3 * time.Second},
		"none for requests": {&http.Server{Handler: h, ReadTimeout: -1}, hour, hour},
		"none for headers":  {&http.Server{Handler: h, ReadHeaderTimeout: -1}, hour, idleTimeout},
		"none for idle":     {&http.Server{Handler: h, IdleTimeout: -1}, headerTimeout, hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				reg := shoaltest.New(t)
				go func() {
					served <- Graceful{Listeners: map[*http.Server]net.Listener{tt.server: l}}.Serve(ctx, reg, tt.server)
				}()
				for request, want := range map[string]time.Duration{half: tt.header, half + "TP/1.1\r\nHost: x\r\n\r\n": tt.idle} {
					client, server := net.Pipe()
					l.conns <- server
					if _, err := io.WriteString(client, request); err != nil {
						t.Fatal(err)
					}
					begin, answer := time.Now(), bufio.NewReader(client)
					_ = client.SetReadDeadline(begin.Add(hour))
					if request != half {
						if _, err := http.ReadResponse(answer, nil); err != nil {
							t.Error(err)
						}
					}
					_, _ = io.Copy(io.Discard, answer)
					if took := time.Since(begin); took != want {
						t.Errorf("after %q the connection ends after %v, want %v", request, took, want)
					}
					_ = client.Close()
				}
				cancel()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// unread is a connection whose client stops reading after a while.
type unread struct {
	net.Conn
	left   int
	closed chan struct{}
}

func (c *unread) Read(p []byte) (int, error) {
	if c.left <= 0 {
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A stream of HTTP/2 can't be cut off while the client reads nothing of its connection, so
// the connection is.
func TestServe_EndsConnectionsOfHTTP2ThatTakeNothing(t *testing.T) {
	const hour = time.Hour
	for name, tt := range map[string]struct {
		own  *http.HTTP2Config
		want time.Duration
	}{
		"no limit": {nil, stuckTimeout},
		"others":   {&http.HTTP2Config{MaxConcurrentStreams: 3}, stuckTimeout},
		"its own":  {&http.HTTP2Config{WriteByteTimeout: time.Minute}, time.Minute},
		"none":     {&http.HTTP2Config{WriteByteTimeout: -1}, hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var protocols http.Protocols
				protocols.SetUnencryptedHTTP2(true)
				ended := make(chan struct{})
				server := &http.Server{
					Protocols: &protocols, HTTP2: tt.own,
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						_, _ = w.Write(make([]byte, 1<<20))
						close(ended)
					}),
				}
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() {
					served <- Graceful{Listeners: map[*http.Server]net.Listener{server: l}, DrainTimeout: time.Nanosecond}.Serve(ctx, shoaltest.New(t), server)
				}()
				client := &unread{left: 1000, closed: make(chan struct{})}
				transport := &http.Transport{Protocols: &protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
					var conn net.Conn
					client.Conn, conn = net.Pipe()
					l.conns <- conn
					return client, nil
				}}
				begin, answered := time.Now(), make(chan struct{})
				go func() {
					res, err := (&http.Client{Transport: transport}).Get("http://x/")
					if err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					close(answered)
				}()
				select {
				case <-ended:
				case <-time.After(hour):
				}
				// What the client took at first makes the limit begin anew once.
				if took := time.Since(begin); took < tt.want || took > 2*tt.want {
					t.Errorf("it is held for %v, want %v", took, tt.want)
				}
				close(client.closed)
				cancel()
				<-served
				<-answered
				transport.CloseIdleConnections()
			})
		})
	}
}
