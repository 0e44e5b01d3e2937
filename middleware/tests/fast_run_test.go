// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"github.com/valyala/fasthttp"
)

// runFast serves an application by Run and returns its address.
func runFast(ctx context.Context, f fast, reg *shoal.Registry, ran chan<- error, routes ...fastRoute) (addr string) {
	a := make(chan string, 1)
	addr = freeAddress(a)
	go func() { ran <- f.run(ctx, reg, routes, addr, nil) }()
	return addr
}

func TestFast_RunDrainsThenDelivers(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		reg, watcher := watched(t)
		entered, release := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		addr := runFast(ctx, f, reg, ran, fastRoute{"GET", "/slow", func(ctx *fasthttp.RequestCtx) {
			close(entered)
			<-release
			ctx.SetBodyString("done")
		}})
		answer := make(chan string, 1)
		go func() { answer <- getWhenUp("http://" + addr + "/slow") }()
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

// Clients that keep their connections get answers until Run ends, and each answer is counted.
func TestFast_RunUnderLoadLosesNoAnsweredRequest(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		reg, watcher := watched(t)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		addr := runFast(ctx, f, reg, ran, fastRoute{"GET", "/", says("ok")})
		if got := getWhenUp("http://" + addr + "/"); got != "ok" {
			t.Fatalf("it answers %q", got)
		}
		var answered atomic.Int64
		answered.Add(1)
		enough := make(chan struct{})
		var once sync.Once
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for {
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					res, err := http.ReadResponse(r, nil)
					if err != nil {
						return
					}
					_, err = io.Copy(io.Discard, res.Body)
					if err != nil || res.StatusCode != 200 {
						t.Errorf("got %v, %v", res, err)
					}
					if answered.Add(1) == 500 {
						once.Do(func() { close(enough) })
					}
					if res.Close {
						return
					}
				}
			})
		}
		<-enough
		begin := time.Now()
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(begin); took > httpmetrics.DefDrainTimeout/2 {
			t.Errorf("the shutdown took %v", took)
		}
		group.Wait()
		// One that was handled, but whose answer did not arrive any more, is counted as well.
		got := shoaltest.Value(t, watcher, "http_requests_total", "method", "GET", "route", "/", "code", "200")
		if want := float64(answered.Load()); got < want || got > want+8 {
			t.Errorf("%v requests counted, %v were answered", got, want)
		}
	})
}

// A client that is told so does not send a next request on a connection that is closed.
func TestFast_RunTellsClientsThatTheirConnectionsEnd(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ran, entered := make(chan error, 1), make(chan struct{})
		addr := runFast(ctx, f, shoaltest.New(t), ran, fastRoute{"GET", "/", says("ok")}, fastRoute{"GET", "/slow", func(ctx *fasthttp.RequestCtx) {
			close(entered)
			<-ctx.Done() // the server has begun to shut down
		}})
		getWhenUp("http://" + addr + "/")
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		cancel()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || !res.Close {
			t.Errorf("the answer is %v, %v", res, err)
		}
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestFast_RunEndsWithKeptConnectionsAtOnce(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ran := make(chan error, 1)
		addr := runFast(ctx, f, shoaltest.New(t), ran, fastRoute{"GET", "/", says("ok")})
		getWhenUp("http://" + addr + "/")
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		res, err := client.Get("http://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // the connection is kept
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(httpmetrics.DefDrainTimeout / 2):
			t.Fatal("Run waits for a connection on which nothing happens")
		}
	})
}

func TestFast_RunListenerServesAUnixSocketAndCloses(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		reg := shoaltest.New(t)
		l, path := unixSocket(t)
		addr := make(chan string, 1)
		page := tellAddress(httpmetrics.PageServer("127.0.0.1:0", reg), addr)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ran := make(chan error, 1)
		go func() { ran <- f.run(ctx, reg, []fastRoute{{"GET", "/", says("hello")}}, "", l, page) }()
		if got := getOverUnix(t, path, "http://shop/"); got != "hello" {
			t.Errorf("the socket answers %q", got)
		}
		if got := getWhenUp("http://" + <-addr + "/metrics"); got == "" {
			t.Error("the page on the other server is empty")
		}
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("RunListener: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
}

// A Run whose context is done before it has begun ends all the same.
func TestFast_RunEndsIfItsContextIsDone(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // Shutdown and Serve begin at the same time
			if err := f.run(ctx, shoaltest.New(t), nil, "127.0.0.1:0", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFast_RunThatCannotListenClosesAll(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		addr := taken.Addr().String()
		for promise, run := range map[string]func(reg *shoal.Registry) error{
			"its own": func(reg *shoal.Registry) error { return f.run(t.Context(), reg, nil, addr, nil) },
			"a further server's": func(reg *shoal.Registry) error {
				l, _ := unixSocket(t)
				err := f.run(t.Context(), reg, nil, "", l, httpmetrics.PageServer(addr, reg))
				if !errors.Is(l.Close(), net.ErrClosed) {
					t.Error("the listener was left open")
				}
				return err
			},
		} {
			reg := shoaltest.New(t)
			if err := run(reg); !errors.As(err, new(*net.OpError)) {
				t.Errorf("%s: %v", promise, err)
			}
			if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
				t.Errorf("%s: Flush says %v, want that the registry is closed", promise, err)
			}
		}
	})
}
