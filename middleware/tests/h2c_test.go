// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // h2c and http2 are deprecated, but applications have them
package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// runsUnencryptedHTTP2 are all ways to serve HTTP/2 without TLS with a Run.
var runsUnencryptedHTTP2 = map[string]func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error{
	"gin, UseH2C": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		engine := buildGin(reg, httpmetrics.Opts{}, routes)
		engine.UseH2C = true
		return shoalgin.Run(ctx, engine, addr, reg)
	},
	"gin, UseH2C, RunListener": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		engine := buildGin(reg, httpmetrics.Opts{}, routes)
		engine.UseH2C = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		return shoalgin.RunListener(ctx, engine, l, reg)
	},
	"gin, Handler": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		engine := buildGin(reg, httpmetrics.Opts{}, routes)
		engine.UseH2C = true
		return httpmetrics.Serve(ctx, reg, httpmetrics.NewServer(addr, engine.Handler()))
	},
	"nethttp, Protocols": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		server := httpmetrics.NewServer(addr, buildHTTP(reg, httpmetrics.Opts{}, routes))
		server.Protocols = unencrypted()
		return shoalhttp.Run(ctx, server, reg)
	},
	"nethttp, h2c.NewHandler": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		handler := h2c.NewHandler(buildHTTP(reg, httpmetrics.Opts{}, routes), &http2.Server{})
		return shoalhttp.Run(ctx, httpmetrics.NewServer(addr, handler), reg)
	},
	"nethttp, h2c.NewHandler and ConfigureServer": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		h2s := &http2.Server{}
		server := httpmetrics.NewServer(addr, h2c.NewHandler(buildHTTP(reg, httpmetrics.Opts{}, routes), h2s))
		if err := http2.ConfigureServer(server, h2s); err != nil {
			return err
		}
		return shoalhttp.Run(ctx, server, reg)
	},
	"chi, h2c.NewHandler": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		return shoalchi.Run(ctx, h2c.NewHandler(buildChi(reg, httpmetrics.Opts{}, routes), &http2.Server{}), addr, reg)
	},
	"echo, Protocols": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		e := buildEcho(reg, httpmetrics.Opts{}, routes)
		e.Server.Protocols = unencrypted()
		return shoalecho.Run(ctx, e, addr, reg)
	},
	"echo, h2c.NewHandler as StartH2CServer has it": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		e := buildEcho(reg, httpmetrics.Opts{}, routes)
		e.Server.Handler = h2c.NewHandler(e, &http2.Server{})
		return shoalecho.Run(ctx, e, addr, reg)
	},
	"echo v5, Protocols": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		server := &http.Server{Addr: addr, Handler: buildEchoV5(reg, httpmetrics.Opts{}, routes), Protocols: unencrypted()}
		return httpmetrics.Serve(ctx, reg, server)
	},
	"echo v5, h2c.NewHandler": func(ctx context.Context, reg *shoal.Registry, addr string, routes []route) error {
		handler := h2c.NewHandler(buildEchoV5(reg, httpmetrics.Opts{}, routes), &http2.Server{})
		return httpmetrics.Serve(ctx, reg, httpmetrics.NewServer(addr, handler))
	},
}

func unencrypted() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// askHTTP2 asks over HTTP/2 without TLS until the server listens.
func askHTTP2(ctx context.Context, url string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return err.Error()
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return err.Error()
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return fmt.Sprint(res.Proto, " ", string(body), err)
	}
}

// refused waits until nothing listens on addr.
func refused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still takes connections: %v", addr, err)
		}
	}
}

func TestRun_DrainsAndCountsRequestsOverUnencryptedHTTP2(t *testing.T) {
	for name, run := range runsUnencryptedHTTP2 {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			reg, watcher := watched(t)
			entered, release := make(chan struct{}), make(chan struct{})
			slow := route{"GET", "/slow", func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-release
				_, _ = io.WriteString(w, "done")
			}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ran, answer := make(chan error, 1), make(chan string, 1)
			addr := freeAddress(make(chan string, 1))
			go func() { ran <- run(ctx, reg, addr, []route{slow}) }()
			go func() { answer <- askHTTP2(t.Context(), "http://"+addr+"/slow") }()
			select {
			case <-entered:
			case err := <-ran:
				t.Fatalf("Run ended at once: %v", err)
			}
			cancel()
			refused(t, addr)
			select {
			case err := <-ran:
				t.Errorf("Run returned %v with a request under way", err)
				ran <- err
			default:
			}
			close(release)
			if got := <-answer; got != "HTTP/2.0 done<nil>" {
				t.Errorf("the request under way got %q", got)
			}
			if err := <-ran; err != nil {
				t.Errorf("Run: %v", err)
			}
			if got := shoaltest.Value(t, watcher, "http_requests_total", "method", "GET", "route", "/slow", "code", "200"); got != 1 {
				t.Errorf("%v requests are counted, want 1", got)
			}
		})
	}
}

// With h2c.NewHandler net/http knows nothing of the request, so that only Serve
// can tell.
func TestRun_SaysWhichRequestsOverUnencryptedHTTP2OutlastTheDrain(t *testing.T) {
	reg := shoaltest.New(t)
	entered, release := make(chan struct{}), make(chan struct{})
	slow := route{"GET", "/slow", func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	}}
	addr := freeAddress(make(chan string, 1))
	server := httpmetrics.NewServer(addr, h2c.NewHandler(buildHTTP(reg, httpmetrics.Opts{}, []route{slow}), &http2.Server{}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran, answer := make(chan error, 1), make(chan string, 1)
	go func() { ran <- httpmetrics.Graceful{DrainTimeout: time.Millisecond}.Serve(ctx, reg, server) }()
	go func() { answer <- askHTTP2(t.Context(), "http://"+addr+"/slow") }()
	<-entered
	cancel()
	if err := <-ran; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 requests") {
		t.Errorf("Serve says %v, want that a request is still there", err)
	}
	close(release)
	<-answer
}

// Requests that begin after the shutdown did would keep it from ever ending.
func TestRun_DoesNotWaitForWhatBeginsAfterItStopped(t *testing.T) {
	reg := shoaltest.New(t)
	type visit struct{ release chan struct{} }
	visits := make(chan visit)
	slow := route{"GET", "/slow", func(http.ResponseWriter, *http.Request) {
		v := visit{make(chan struct{})}
		visits <- v
		<-v.release
	}}
	addr := freeAddress(make(chan string, 1))
	server := httpmetrics.NewServer(addr, h2c.NewHandler(buildHTTP(reg, httpmetrics.Opts{}, []route{slow}), &http2.Server{}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- shoalhttp.Run(ctx, server, reg) }()

	transport := &http.Transport{Protocols: new(http.Protocols)} // one connection
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	answered := make(chan error, 2)
	ask := func() {
		for {
			res, err := (&http.Client{Transport: transport}).Get("http://" + addr + "/slow")
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue
			}
			if err == nil {
				_ = res.Body.Close()
			}
			answered <- err
			return
		}
	}
	go ask()
	first := <-visits
	cancel()
	refused(t, addr)
	go ask()
	second := <-visits
	close(first.release)
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	close(second.release)
	for range cap(answered) {
		if err := <-answered; err != nil {
			t.Errorf("a client got %v", err)
		}
	}
}

func TestRun_TakesAServerOfConfigureServerForPlain(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, reg *shoal.Registry, addr chan<- string) error{
		"nethttp": func(ctx context.Context, reg *shoal.Registry, addr chan<- string) error {
			server := tellAddress(httpmetrics.NewServer("127.0.0.1:0", text("plain")), addr)
			if err := http2.ConfigureServer(server, &http2.Server{}); err != nil {
				return err
			}
			return shoalhttp.Run(ctx, server, reg)
		},
		"echo": func(ctx context.Context, reg *shoal.Registry, addr chan<- string) error {
			e := buildEcho(reg, httpmetrics.Opts{}, []route{{"GET", "/", text("plain")}})
			tellAddress(e.Server, addr)
			if err := http2.ConfigureServer(e.Server, &http2.Server{}); err != nil {
				return err
			}
			return shoalecho.Run(ctx, e, "127.0.0.1:0", reg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			addr, ran := make(chan string, 1), make(chan error, 1)
			go func() { ran <- run(ctx, reg, addr) }()
			select {
			case a := <-addr:
				if got := getWhenUp("http://" + a + "/"); got != "plain" {
					t.Errorf("it answers %q", got)
				}
			case err := <-ran:
				t.Fatalf("Run ended at once: %v", err)
			}
			cancel()
			if err := <-ran; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// net/http has no upgrade from HTTP/1; a server may go on with that.
func TestRun_GinServesAClientThatAsksForAnUpgradeOverHTTP1(t *testing.T) {
	reg := shoaltest.New(t)
	addr := freeAddress(make(chan string, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- runsUnencryptedHTTP2["gin, UseH2C"](ctx, reg, addr, []route{{"GET", "/", text("ok")}}) }()
	getWhenUp("http://" + addr + "/")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	req.Header.Set("Upgrade", "h2c")
	req.Header.Set("HTTP2-Settings", "AAMAAABkAAQAAP__")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 || res.Proto != "HTTP/1.1" {
		t.Errorf("got %d over %s", res.StatusCode, res.Proto)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
}
