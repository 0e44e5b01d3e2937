// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func TestHijackedConnectionIs101AndRecordedWhileItRuns(t *testing.T) {
	ways := map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"http.Hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return w.(http.Hijacker).Hijack()
		},
		"http.ResponseController": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	}
	for name, hijack := range ways {
		t.Run(name, func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				returned := make(chan struct{})
				s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/socket", func(w http.ResponseWriter, _ *http.Request) {
					defer close(returned)
					conn, rw, err := hijack(w)
					if err != nil {
						t.Errorf("hijack: %v", err)
						return
					}
					defer func() { _ = conn.Close() }()
					_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
					_ = rw.Flush()
					_, _ = rw.ReadString('\n')
				}})
				conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != 101 {
					t.Fatalf("got %v, %v", res, err)
				}
				if got := s.count("GET", "/socket", "101"); got != 1 {
					_, series := s.total()
					t.Errorf("%v recorded while the connection lives, want 1: %v", got, series)
				}
				if got := s.inFlight(); got != 1 {
					t.Errorf("%v in flight while the connection lives, want 1", got)
				}
				_ = conn.Close()
				<-returned
				s.finish()
				labels := []string{"method", "GET", "route", "/socket", "code", "101"}
				if got := shoaltest.Value(t, s.reg, "http_response_size_bytes", labels...); got != 0 {
					t.Errorf("%v sizes observed, want none", got)
				}
				if total, series := s.total(); total != 1 {
					t.Errorf("recorded %v: %v", total, series)
				}
			})
		})
	}
}

// gin's Stream asks the writer below for CloseNotify, and panics if it has none.
func TestStreams_GinsStreamIsRecordedWhenItBegins(t *testing.T) {
	for name, around := range map[string]func(*gin.Engine, *shoal.Registry) http.Handler{
		"by shoalgin":  func(e *gin.Engine, reg *shoal.Registry) http.Handler { return e },
		"by shoalhttp": func(e *gin.Engine, reg *shoal.Registry) http.Handler { return shoalhttp.Middleware(reg, sized)(e) },
		"by shoalhttp, which has no CloseNotify below": func(e *gin.Engine, reg *shoal.Registry) http.Handler {
			h := shoalhttp.Middleware(reg, sized)(e)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(struct {
					http.ResponseWriter
					http.Flusher
				}{w, w.(http.Flusher)}, r)
			})
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			reg := shoaltest.New(t)
			e := ginOf(reg)
			e.GET("/events", func(c *gin.Context) {
				left := 2
				c.Stream(func(io.Writer) bool {
					c.SSEvent("tick", left)
					wantSeries(t, reg, "GET", "/events", "200")
					left--
					return left > 0
				})
			})
			s := siteOf(t, reg, around(e, reg))
			if _, body := s.do("GET", "/events", nil); strings.Count(body, "event:tick") != 2 {
				t.Errorf("the stream is %q", body)
			}
			s.finish()
			s.wantOnly("GET", "/events", "200")
		})
	}
}

// A replacement of the request inside must not decide whether its client left.
func TestEndedContextOfAnInnerHandlerIsNoClientThatLeft(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/", func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			*r = *r.WithContext(ctx)
			cancel()
		}})
		status, _ := s.do("GET", "/", nil)
		s.finish()
		if status != 200 {
			t.Errorf("the client got %d", status)
		}
		s.wantOnly("GET", "/", "200")
	})
}

func TestRunDrainsThenDelivers(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		reg, watcher := watched(t)
		entered, release := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		addr, ran := make(chan string, 1), make(chan error, 1)
		go func() {
			ran <- f.run(ctx, reg, []route{{"GET", "/slow", func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-release
				_, _ = io.WriteString(w, "done")
			}}}, addr)
		}()
		answer := make(chan string, 1)
		go func() { answer <- getWhenUp("http://" + <-addr + "/slow") }()
		<-entered
		cancel()
		close(release)
		if got := <-answer; got != "done" {
			t.Errorf("the request under way got %q", got)
		}
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := shoaltest.Value(t, watcher, "http_requests_total", "method", "GET", "route", "/slow", "code", "200"); got != 1 {
			t.Errorf("another process sees %v requests, want 1", got)
		}
		if shoaltest.Exists(t, watcher, "http_requests_in_flight", "gauge_index", "1") {
			t.Error("the gauge of a process that closed is still there")
		}
	})
}

// getWhenUp returns the body that askWhenUp gets.
func getWhenUp(url string) string {
	_, body := askWhenUp(url)
	return body
}

// askWhenUp asks until the server listens. The status is 0 if there was no answer.
func askWhenUp(url string) (status int, body string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		res, err := client.Get(url)
		if errors.As(err, new(*net.OpError)) {
			continue
		}
		if err != nil {
			return 0, err.Error()
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return res.StatusCode, string(text)
	}
}
