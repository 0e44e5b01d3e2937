// SPDX-License-Identifier: Apache-2.0

package shoalecho_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echov5"
)

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// fetch returns the body of an answer, or why there is none.
func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// waitUntilRefused waits until nothing listens on addr any more.
func waitUntilRefused(t *testing.T, addr string) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Fatalf("%s still accepts connections", addr)
}

// watched gives a registry that the test closes, and that of another process, whose page
// shows what the first leaves behind.
func watched(t *testing.T) (reg, watcher *shoal.Registry) {
	t.Helper()
	store := shoaltest.NewServer()
	watcher = store.New(t, shoal.Opts{})
	reg = shoal.New()
	if err := store.Connect(reg, shoal.Opts{}); err != nil {
		t.Fatal(err)
	}
	return reg, watcher
}

// output is what a logger of several goroutines wrote.
type output struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestRun_TheServersErrorsGoToEchosLogger(t *testing.T) {
	var log output
	e := newEcho()
	e.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e.GET("/x", func(*echo.Context) error { panic("boom") })
	l := listener(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- shoalecho.RunListener(ctx, e, l, shoaltest.New(t)) }()
	if body, err := fetch(t.Context(), http.DefaultClient, "http://"+l.Addr().String()+"/x"); err == nil {
		t.Errorf("a handler that panicked answered %q", body)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("RunListener: %v", err)
	}
	if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "boom") {
		t.Errorf("echo's logger has %q, want the panic that net/http reported", got)
	}
}

func TestRun_AnEchoWithoutALoggerIsServed(t *testing.T) {
	e := newEcho()
	e.Logger = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shoalecho.Run(ctx, e, "127.0.0.1:0", shoaltest.New(t)); err != nil {
		t.Error(err)
	}
}

// The README shows this line.
func TestStartConfig_ThenShutdownDeliversWhatItServed(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	reg, watcher := watched(t)
	e := newEcho()
	shoalecho.Install(e, reg, shoalecho.Opts{})
	begun, proceed := make(chan struct{}), make(chan struct{})
	e.GET("/x", func(c *echo.Context) error {
		close(begun)
		<-proceed
		return ok(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr := make(chan string, 1)
	sc := echo.StartConfig{
		Address:          "127.0.0.1:0",
		TLSConfig:        &tls.Config{Certificates: authority.TLS.Certificates},
		ListenerAddrFunc: func(a net.Addr) { addr <- a.String() },
	}
	ran := make(chan error, 1)
	go func() { ran <- errors.Join(sc.Start(ctx, e), httpmetrics.Graceful{}.Shutdown(ctx, reg)) }()

	listening := <-addr
	fetched := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), authority.Client(), "https://"+listening+"/x")
		fetched <- err
	}()
	select {
	case <-begun:
	case err := <-fetched:
		t.Fatalf("the request did not come to its handler: %v", err)
	}
	cancel()
	waitUntilRefused(t, listening)
	close(proceed)
	if err := <-fetched; err != nil {
		t.Errorf("the client got %v", err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
		t.Errorf("Flush after it says %v, want that the registry is closed", err)
	}
	wantOne(t, watcher, "GET", "/x", "200")
}
