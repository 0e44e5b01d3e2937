// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// runListener serves an application by the package's RunListener.
var runListener = map[string]func(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error{
	"nethttp": func(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error {
		server := httpmetrics.NewServer("", buildHTTP(reg, httpmetrics.Opts{}, routes))
		return shoalhttp.RunListener(ctx, server, l, reg, also...)
	},
	"chi": func(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error {
		return shoalchi.RunListener(ctx, buildChi(reg, httpmetrics.Opts{}, routes), l, reg, also...)
	},
	"gin": func(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error {
		return shoalgin.RunListener(ctx, buildGin(reg, httpmetrics.Opts{}, routes), l, reg, also...)
	},
	"echo": func(ctx context.Context, l net.Listener, reg *shoal.Registry, routes []route, also ...*http.Server) error {
		return shoalecho.RunListener(ctx, buildEcho(reg, httpmetrics.Opts{}, routes), l, reg, also...)
	},
	"echov5": runListenerEchoV5,
}

// unixSocket listens in a directory whose path is short enough for one.
func unixSocket(t *testing.T) (l net.Listener, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "shoal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	if l, err = net.Listen("unix", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

func getOverUnix(t *testing.T, path, url string) string {
	t.Helper()
	res, err := (&http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRunListener_ServesAUnixSocketAndCloses(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		reg := shoaltest.New(t)
		l, path := unixSocket(t)
		addr := make(chan string, 1)
		page := tellAddress(httpmetrics.PageServer("127.0.0.1:0", reg), addr)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ran := make(chan error, 1)
		go func() { ran <- runListener[f.name](ctx, l, reg, []route{{"GET", "/", text("hello")}}, page) }()
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
