// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// A stream begins when its handler returns, and may live for hours after that.
func TestFast_StreamIsRecordedWhenItBegins(t *testing.T) {
	for promise, tt := range map[string]struct {
		contentType string
		stream      func(*fasthttp.RequestCtx, string) bool
	}{
		"server-sent events":    {"text/event-stream", nil},
		"lines of JSON":         {"application/x-ndjson", nil},
		"what Opts.Stream says": {"video/mp2t", func(_ *fasthttp.RequestCtx, contentType string) bool { return contentType == "video/mp2t" }},
		"any of unknown length": {"text/plain", nil},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				more := make(chan string)
				opts := shoalfasthttp.Opts{ResponseSize: true, Stream: tt.stream}
				s := newFastSite(t, f, opts, fastRoute{"GET", "/events", func(ctx *fasthttp.RequestCtx) {
					ctx.SetContentType(tt.contentType)
					ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
						for text := range more {
							_, _ = w.WriteString(text)
							_ = w.Flush()
						}
					})
				}})
				go func() { more <- "data: 1\n\n" }()
				res, err := s.client.Get(s.server.URL + "/events")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = res.Body.Close() }()
				if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != "data: 1\n" {
					t.Errorf("the stream begins with %q, %v", line, err)
				}
				s.wantOnly("GET", "/events", "200") // none in flight: fasthttp streams after the handler
				close(more)
				_, _ = io.Copy(io.Discard, res.Body)
				s.finish()
				s.wantOnly("GET", "/events", "200")
				if n := shoaltest.Value(t, s.reg, "http_response_size_bytes", "method", "GET", "route", "/events", "code", "200"); n != 0 {
					t.Errorf("%v sizes observed, want none", n)
				}
			})
		})
	}
}

// A body that says that it is a stream is one, though its length is known.
func TestFast_StreamsBodyIsNotObserved(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		s := newFastSite(t, f, shoalfasthttp.Opts{ResponseSize: true}, fastRoute{"GET", "/events", func(ctx *fasthttp.RequestCtx) {
			ctx.Success("text/event-stream; charset=utf-8", []byte("data: 1\n\n"))
		}})
		s.do("GET", "/events", nil)
		s.finish()
		if n := shoaltest.Value(t, s.reg, "http_response_size_bytes", "method", "GET", "route", "/events", "code", "200"); n != 0 {
			t.Errorf("%v sizes observed, want none", n)
		}
	})
}

func TestFast_UpgradeIsRecordedBeforeItRuns(t *testing.T) {
	const request = "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	for promise, tt := range map[string]struct {
		handler func(until <-chan struct{}) fasthttp.RequestHandler
		request string
		status  int
		method  string
		code    string
	}{
		"by fasthttp": {func(until <-chan struct{}) fasthttp.RequestHandler {
			return func(ctx *fasthttp.RequestCtx) { // as github.com/fasthttp/websocket does
				ctx.SetStatusCode(101)
				ctx.Response.Header.Set("Upgrade", "echo")
				ctx.Hijack(func(net.Conn) { <-until })
			}
		}, request, 101, "GET", "101"},
		"by a handler that answers itself": {func(until <-chan struct{}) fasthttp.RequestHandler {
			return func(ctx *fasthttp.RequestCtx) {
				ctx.HijackSetNoResponse(true)
				ctx.Hijack(func(c net.Conn) { _, _ = io.WriteString(c, switching); <-until })
			}
		}, request, 101, "GET", "101"},
		"by a handler of net/http": {func(until <-chan struct{}) fasthttp.RequestHandler {
			return fasthttpadaptor.NewFastHTTPHandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				_, _ = rw.WriteString(switching)
				_ = rw.Flush()
				<-until
				_ = c.Close()
			})
		}, request, 101, "GET", "101"},
		"tunnel of a CONNECT": {func(until <-chan struct{}) fasthttp.RequestHandler {
			return func(ctx *fasthttp.RequestCtx) { ctx.Hijack(func(net.Conn) { <-until }) }
		}, "CONNECT /socket HTTP/1.1\r\nHost: x\r\n\r\n", 200, "CONNECT", "200"},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				until := make(chan struct{})
				s := newFastSite(t, f, shoalfasthttp.Opts{ResponseSize: true}, fastRoute{tt.method, "/socket", tt.handler(until)})
				conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, tt.request)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != tt.status {
					t.Fatalf("got %v, %v", res, err)
				}
				s.waitForOne() // a handler of net/http answers before the one around it has returned
				s.wantOnly(tt.method, "/socket", tt.code)
				close(until)
				s.finish()
				s.wantOnly(tt.method, "/socket", tt.code)
				labels := []string{"method", tt.method, "route", "/socket", "code", tt.code}
				if n := shoaltest.Value(t, s.reg, "http_response_size_bytes", labels...); n != 0 {
					t.Errorf("%v sizes observed, want none", n)
				}
			})
		})
	}
}
