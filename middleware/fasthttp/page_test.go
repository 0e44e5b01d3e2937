// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"github.com/valyala/fasthttp"
)

// watchedConn notes its write deadlines.
type watchedConn struct {
	net.Conn
	mu        sync.Mutex
	deadlines []time.Time // guarded by mu
}

func (c *watchedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadlines = append(c.deadlines, t)
	return c.Conn.SetWriteDeadline(t)
}

// A client has a time to take the page. That time is not one for what comes next on its
// connection.
func TestPage_HasAWriteDeadlineOfItsOwn(t *testing.T) {
	reg := shoaltest.New(t)
	server := &fasthttp.Server{Handler: Install(func(*fasthttp.RequestCtx) {}, reg, Opts{})}
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	conn := &watchedConn{Conn: theirs}
	served := make(chan error, 1)
	go func() { served <- server.ServeConn(conn) }()
	r := bufio.NewReader(ours)
	for _, path := range []string{"/metrics", "/", "/metrics"} {
		if _, err := io.WriteString(ours, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || (len(body) > 0) != (path == "/metrics") {
			t.Errorf("%s is %d bytes, %v", path, len(body), err)
		}
		if path == "/" {
			conn.mu.Lock()
			all := conn.deadlines
			conn.mu.Unlock()
			if len(all) != 2 || time.Until(all[0]) < 20*time.Second || !all[1].IsZero() {
				t.Errorf("the deadlines are %v, want one in 30 s and then none", all)
			}
		}
	}
	_ = ours.Close()
	<-served
}

// What an application tests without a server has no connection.
func TestPage_NeedsNoConnection(t *testing.T) {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	Handler(shoaltest.New(t), shoal.HandlerOpts{})(&ctx)
	if len(ctx.Response.Body()) == 0 {
		t.Error("the page is empty")
	}
}

func TestServe_GivesAServerTheLimitsThatItLacks(t *testing.T) {
	own := &fasthttp.Server{ReadTimeout: time.Hour, IdleTimeout: -1}
	limit(own)
	if own.ReadTimeout != time.Hour || own.IdleTimeout != -1 || own.HeaderReceived != nil {
		t.Errorf("what was set is now %v, %v", own.ReadTimeout, own.IdleTimeout)
	}
	server := new(fasthttp.Server)
	limit(server)
	if server.ReadTimeout != headerTimeout || server.IdleTimeout != idleTimeout {
		t.Errorf("it has %v, %v", server.ReadTimeout, server.IdleTimeout)
	}
	var with, without, chunked fasthttp.RequestHeader
	with.SetContentLength(5)
	chunked.SetContentLength(-1)
	for h, want := range map[*fasthttp.RequestHeader]time.Duration{&without: 0, &with: bodyTimeout, &chunked: bodyTimeout} {
		if got := server.HeaderReceived(h).ReadTimeout; got != want {
			t.Errorf("for a body of %d bytes it is %v, want %v", h.ContentLength(), got, want)
		}
	}
}
